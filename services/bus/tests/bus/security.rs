//! TLS and SASL against a real broker, which this test starts.

use std::path::PathBuf;
use std::time::Duration;

use vigie_bus::kafka::{KafkaBus, KafkaConfig};
use vigie_bus::{Bus, BusError};
use vigie_domain::Topic;

use crate::cluster::Cluster;
use crate::conformance::{collect, peer, records};
use crate::kafka::Kafka;

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_every_sasl_mechanism() {
    if peer("KAFKA_BROKERS").is_none() {
        return;
    }
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(&["--secure"]))
        .await
        .expect("the cluster starts");
    let config = |mechanism: &str, password: &str| KafkaConfig {
        tls: true,
        ca_file: Some(PathBuf::from(cluster.offered("KAFKA_CA_FILE"))),
        sasl_mechanism: Some(mechanism.to_owned()),
        username: Some("vigie".to_owned()),
        password: Some(password.to_owned()),
        connect_timeout: Duration::from_secs(15),
        ..Kafka::new(&cluster.offered("KAFKA_SECURE_BROKERS")).config
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let bus = KafkaBus::connect(config(mechanism, "vigie-test")).await.expect(mechanism);
        bus.publish(Topic::Comments, records(2, 20)).await.expect(mechanism);
        let mut consumer = bus.subscribe("workers", &[Topic::Comments]).await.expect(mechanism);
        assert_eq!(collect(consumer.as_mut(), 20).await.len(), 20);
        consumer.commit().await.expect(mechanism);
        drop(consumer);
        bus.close().await.expect(mechanism);
    }

    let refusal = async |config: KafkaConfig| {
        let config = KafkaConfig {
            connect_timeout: Duration::from_secs(4),
            ..config
        };
        KafkaBus::connect(config).await.err().expect("refused")
    };
    let error = refusal(config("SCRAM-SHA-256", "wrong")).await;
    assert!(
        matches!(&error, BusError::Permanent(text) if text.to_lowercase().contains("authentication")),
        "{error}"
    );
    assert!(!error.to_string().contains("wrong"), "a password is not repeated: {error}");
    let error = refusal(KafkaConfig {
        ca_file: None,
        ..config("PLAIN", "vigie-test")
    })
    .await;
    assert!(error.to_string().contains("certificate"), "an unknown authority is named: {error}");
}

//! The settings that every Kafka client of this process shares, their check, and what the library last complained of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use vigie_domain::Topic;

use super::KafkaConfig;
use super::errors::{code, is_permanent, refused};
use crate::BusError;

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// The checked configuration. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) config: Arc<KafkaConfig>,
    complaint: Complaint,
}

/// The library's last complaint, such as a refused password: requests then only time out, and this says why.
#[derive(Clone, Default)]
pub(super) struct Complaint(Arc<Mutex<Option<(Cure, String)>>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cure {
    Retry,
    Person,
}

impl Client {
    pub(super) fn new(config: KafkaConfig) -> Result<Self, BusError> {
        check(&config)?;
        Ok(Self {
            config: Arc::new(config),
            complaint: Complaint::default(),
        })
    }

    /// The full name of a topic.
    pub(super) fn topic(&self, topic: Topic) -> String {
        format!("{}{}", self.config.prefix, topic.name())
    }

    /// The full name of a group.
    pub(super) fn group(&self, group: &str) -> String {
        format!("{}{group}", self.config.prefix)
    }

    /// The topic of a full name.
    pub(super) fn topic_of(&self, name: &str) -> Option<Topic> {
        name.strip_prefix(&self.config.prefix)?.parse().ok()
    }

    /// What the clients of this process share.
    pub(super) fn settings(&self) -> ClientConfig {
        let config = &self.config;
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", &config.brokers)
            .set("client.id", "vigie")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            .set_log_level(RDKafkaLogLevel::Warning);
        let protocol = match (config.tls, config.sasl_mechanism.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        settings.set("security.protocol", protocol);
        if config.tls {
            let authority = config
                .ca_file
                .as_ref()
                .map_or("probe".to_owned(), |file| file.display().to_string());
            settings.set("ssl.ca.location", authority);
        }
        if let (Some(mechanism), Some(username), Some(password)) = (&config.sasl_mechanism, &config.username, &config.password) {
            settings
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", username)
                .set("sasl.password", password);
        }
        settings
    }

    pub(super) fn complaint(&self) -> Complaint {
        self.complaint.clone()
    }

    /// The port's error with the reason that the library gave; permanent where a retry cannot cure it.
    pub(super) fn explain(&self, error: &KafkaError, doing: &str) -> BusError {
        self.complaint.explain(refused(error, doing))
    }
}

impl Complaint {
    /// Adds the reason to a transient error; makes it permanent where a retry cannot cure it.
    pub(super) fn explain(&self, error: BusError) -> BusError {
        let complaint = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (error, complaint) {
            (BusError::Transient(text), Some((Cure::Person, reason))) => BusError::Permanent(format!("{text}; {reason}")),
            (BusError::Transient(text), Some((Cure::Retry, reason))) => BusError::Transient(format!("{text}; {reason}")),
            (error, _) => error,
        }
    }

    /// After a success: what it complained of is over.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A reason that only says that no broker is left does not hide the one before, which says why.
    fn note(&self, error: &KafkaError, reason: &str) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cure = if code(error).is_some_and(is_permanent) {
            Cure::Person
        } else {
            Cure::Retry
        };
        let known = noted.as_ref().is_some_and(|(known, _)| *known == Cure::Person);
        if cure == Cure::Person || !(known || code(error) == Some(RDKafkaErrorCode::AllBrokersDown)) {
            *noted = Some((cure, reason.to_owned()));
        }
    }
}

impl ClientContext for Complaint {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error, reason);
        tracing::warn!(%error, "Kafka: {reason}");
    }
}

impl ConsumerContext for Complaint {}

/// The library's own log. Its text names brokers and topics, never records.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(facility, "Kafka client: {message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(facility, "Kafka client: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, "Kafka client: {message}"),
    }
}

fn check(config: &KafkaConfig) -> Result<(), BusError> {
    let refuse = |text: String| Err(BusError::Permanent(text));
    if config.brokers.trim().is_empty() {
        return refuse("no Kafka broker is configured; write brokers = \"host:9092\"".to_owned());
    }
    if config.partitions < 1 || !(1..=i32::from(i16::MAX)).contains(&config.replication) {
        return refuse("a topic needs at least one partition and one replica".to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if config.prefix.len() > 200 || !config.prefix.chars().all(plain) {
        return refuse("the prefix may hold only letters, digits, `.`, `_` and `-`, at most 200 of them".to_owned());
    }
    match &config.sasl_mechanism {
        Some(mechanism) if !MECHANISMS.contains(&mechanism.as_str()) => refuse(format!(
            "unknown SASL mechanism `{mechanism}`; choose one of {}",
            MECHANISMS.join(", ")
        )),
        Some(_) if config.username.is_none() || config.password.is_none() => refuse("SASL needs a username and a password".to_owned()),
        None if config.username.is_some() || config.password.is_some() => refuse(format!(
            "a username or password is set, but no SASL mechanism; choose one of {}",
            MECHANISMS.join(", ")
        )),
        _ if config.session_timeout < Duration::from_secs(6) => refuse("the session timeout is at least 6 s".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secure() -> KafkaConfig {
        KafkaConfig {
            tls: true,
            sasl_mechanism: Some("SCRAM-SHA-512".to_owned()),
            username: Some("vigie".to_owned()),
            password: Some("hunter2".to_owned()),
            ..KafkaConfig::default()
        }
    }

    #[test]
    fn security_becomes_settings_that_the_library_accepts() {
        let client = Client::new(secure()).expect("a valid configuration");
        let settings = client.settings();
        assert_eq!(settings.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(settings.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        assert_eq!(settings.get("ssl.ca.location"), Some("probe"));
        settings
            .create_native_config()
            .expect("every key and value is known to the library");
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", secure()).contains("hunter2"));
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_the_way_out() {
        let cases = [
            (
                KafkaConfig {
                    brokers: String::new(),
                    ..secure()
                },
                "brokers =",
            ),
            (KafkaConfig { partitions: 0, ..secure() }, "partition"),
            (
                KafkaConfig {
                    replication: 40_000,
                    ..secure()
                },
                "replica",
            ),
            (
                KafkaConfig {
                    prefix: "a b".to_owned(),
                    ..secure()
                },
                "prefix",
            ),
            (
                KafkaConfig {
                    sasl_mechanism: Some("GSSAPI".to_owned()),
                    ..secure()
                },
                "SCRAM-SHA-256",
            ),
            (
                KafkaConfig {
                    password: None,
                    ..secure()
                },
                "password",
            ),
            (
                KafkaConfig {
                    sasl_mechanism: None,
                    ..secure()
                },
                "PLAIN",
            ),
        ];
        for (config, part) in cases {
            let error = Client::new(config).err().expect("refused");
            assert!(!error.is_transient() && error.to_string().contains(part), "{error}");
        }
    }
}

//! Which of Kafka's errors pass by themselves.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::BusError;

/// Whether the same request can never succeed, until a person changes something.
pub(super) const fn is_permanent(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SecurityDisabled
            | Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTopic
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidReplicaAssignment
            | Code::InvalidConfig
            | Code::InvalidRequest
            | Code::InvalidArgument
            | Code::InvalidRequiredAcks
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::UnsupportedCompressionType
            | Code::UnsupportedForMessageFormat
            | Code::NotImplemented
    )
}

/// The code in an error; the library hides that of an administrative operation.
pub(super) fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        _ => error.rdkafka_error_code(),
    }
}

/// The port's error for a library error.
pub(super) fn refused(error: &KafkaError, doing: &str) -> BusError {
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) | KafkaError::Subscription(_) => {
            BusError::Permanent(format!("{doing}: {error}; check the configuration of Kafka"))
        }
        _ => match code(error) {
            Some(code) => classified(code, doing),
            None => BusError::Transient(format!("{doing}: {error}")),
        },
    }
}

/// The port's error for a code.
pub(super) fn classified(code: RDKafkaErrorCode, doing: &str) -> BusError {
    let text = format!("{doing}: {code}");
    if is_permanent(code) {
        BusError::Permanent(text)
    } else {
        BusError::Transient(text)
    }
}

/// The port's error for a code in a metadata answer.
pub(super) fn classified_response(code: RDKafkaRespErr, doing: &str) -> BusError {
    classified(code.into(), doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_transient_or_permanent() {
        let cases = [
            (RDKafkaErrorCode::AllBrokersDown, true),
            (RDKafkaErrorCode::NotEnoughReplicas, true),
            (RDKafkaErrorCode::NotLeaderForPartition, true),
            (RDKafkaErrorCode::RebalanceInProgress, true),
            (RDKafkaErrorCode::UnknownTopicOrPartition, true),
            (RDKafkaErrorCode::KafkaStorageError, true),
            (RDKafkaErrorCode::QueueFull, true),
            (RDKafkaErrorCode::MessageSizeTooLarge, false),
            (RDKafkaErrorCode::TopicAuthorizationFailed, false),
            (RDKafkaErrorCode::SaslAuthenticationFailed, false),
            (RDKafkaErrorCode::InvalidReplicationFactor, false),
        ];
        for (code, transient) in cases {
            assert_eq!(classified(code, "publishing").is_transient(), transient, "{code:?}");
            assert_eq!(
                refused(&KafkaError::AdminOp(code), "creating").is_transient(),
                transient,
                "{code:?}"
            );
        }
    }
}

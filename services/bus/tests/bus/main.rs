//! Tests of the bus: one conformance suite on both adapters, what each promises alone, faults, and kill -9.
//!
//! The Kafka half needs a real Apache Kafka, named by `KAFKA_BROKERS`: `tests/peers/kafka/run start` prints it.

mod cluster;
mod conformance;
mod embedded;
mod failing_nodes;
mod faults;
mod kafka;
mod kill;
mod past;
mod security;

//! Reads the text of /metrics.

use std::time::{Duration, Instant};

use crate::process::Process;

const SETTLE_LIMIT: Duration = Duration::from_secs(600);

/// Waits until no group of the processes is behind on any topic for seven seconds on end: the lag is measured every five.
///
/// # Errors
/// Not within ten minutes.
pub async fn settled(processes: &[&Process]) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut quiet_since: Option<Instant> = None;
    while began.elapsed() < SETTLE_LIMIT {
        let mut behind = 0.0;
        for process in processes {
            behind += sum(&process.metrics().await?, "vigie_bus_lag", &[]);
        }
        let since = quiet_since.get_or_insert_with(Instant::now);
        if behind > 0.0 {
            quiet_since = None;
        } else if since.elapsed() > Duration::from_secs(7) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("records were still waiting after {} s", SETTLE_LIMIT.as_secs())
}

/// The sum of the samples of `name` whose labels hold every one of `labels` (`key="value"`); 0 where there are none.
#[must_use]
pub fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    text.lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .filter(|rest| labels.iter().all(|label| rest.contains(label)))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Whether `name` has at least one sample.
#[must_use]
pub fn has(text: &str, name: &str) -> bool {
    text.lines()
        .any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '_'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_label() {
        let text = "# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\nab 9\na_bucket{le=\"1\"} 1\n";
        assert!((sum(text, "a", &[]) - 7.0).abs() < f64::EPSILON);
        assert!((sum(text, "a", &["y=\"3\""]) - 4.0).abs() < f64::EPSILON);
        assert!(has(text, "ab") && !has(text, "abc"));
    }
}

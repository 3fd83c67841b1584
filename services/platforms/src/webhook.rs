//! The signature of the generic webhook: `X-Signature-256: t=<unix seconds>,v1=<hex HMAC-SHA256(secret, t "." body)>`.
//!
//! Pure: the caller gives the raw bytes of the body, the secrets and the time. Compared in constant time; a signature older or newer
//! than five minutes is refused, so that a request overheard cannot be sent again later. Several secrets may be good at once, and a
//! header may carry several `v1`, so that a secret can be changed without losing a request.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

/// The name of the header.
pub const HEADER: &str = "X-Signature-256";

/// How far the time signed may be from now, in seconds.
pub const SKEW_SECONDS_MAX: i64 = 300;

/// At most this many `v1` of one header are looked at.
const SIGNATURES_MAX: usize = 4;

/// Why a signature is refused. What the sender is told must not say more than "401".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No secret is configured for the account, so nothing can be accepted.
    #[error("no webhook secret is configured for this account: set webhook_secrets")]
    NoSecret,
    /// The header is not of the form `t=…,v1=…`.
    #[error("the signature header is not of the form t=<unix seconds>,v1=<hex>")]
    Form,
    /// Signed more than five minutes before or after now.
    #[error("the time signed is more than {SKEW_SECONDS_MAX} s from now: check the sender's clock")]
    Time,
    /// Signed with another secret, or over another body.
    #[error("the signature does not fit the body under any configured secret")]
    Mismatch,
}

/// Checks `header` over the raw `body`.
///
/// # Errors
/// What is wrong with it.
pub fn verify<S: AsRef<[u8]>>(header: &str, body: &[u8], secrets: &[S], now: Timestamp) -> Result<(), SignatureError> {
    if secrets.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let (time, signatures) = parse(header)?;
    let seconds: i64 = time.parse().map_err(|_| SignatureError::Form)?;
    if now.as_second().abs_diff(seconds) > SKEW_SECONDS_MAX.unsigned_abs() {
        return Err(SignatureError::Time);
    }
    let mut good = false;
    for secret in secrets {
        for signature in &signatures {
            good |= mac(secret.as_ref(), time, body).verify_slice(signature).is_ok();
        }
    }
    if good { Ok(()) } else { Err(SignatureError::Mismatch) }
}

/// The header for `body`, signed with `secret` at `at`: for senders and tests.
#[must_use]
pub fn sign(secret: &[u8], body: &[u8], at: Timestamp) -> String {
    let time = at.as_second().to_string();
    let signature = mac(secret, &time, body).finalize().into_bytes();
    format!("t={time},v1={}", hex::encode(signature))
}

fn mac(secret: &[u8], time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn parse(header: &str) -> Result<(&str, Vec<Vec<u8>>), SignatureError> {
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) if time.is_none() && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                time = Some(value)
            }
            Some(("t", _)) => return Err(SignatureError::Form),
            Some(("v1", value)) if signatures.len() < SIGNATURES_MAX => {
                signatures.push(hex::decode(value).map_err(|_| SignatureError::Form)?)
            }
            _ => {}
        }
    }
    match time {
        Some(time) if !signatures.is_empty() => Ok((time, signatures)),
        _ => Err(SignatureError::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"comment_id\":\"1\"}";

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_470_000).expect("in range")
    }

    #[test]
    fn fits_the_formula() {
        // printf '1795470000.{"comment_id":"1"}' | openssl dgst -sha256 -hmac secret
        let expected = "t=1795470000,v1=b7fd60ba0624e17914756069aaa90cfe6beea79f0ee49be9971b01b1f07302dc";
        assert_eq!(sign(b"secret", BODY, now()), expected);
    }

    #[test]
    fn accepts_either_secret_during_a_rotation() {
        let old = sign(b"old", BODY, now());
        let new = sign(b"new", BODY, now());
        for header in [&old, &new] {
            assert_eq!(verify(header, BODY, &["new", "old"], now()), Ok(()));
        }
        assert_eq!(verify(&old, BODY, &["new"], now()), Err(SignatureError::Mismatch));
        let both = format!("{old},{}", new.split_once(',').map_or("", |(_, signature)| signature));
        assert_eq!(verify(&both, BODY, &["new"], now()), Ok(()));
    }

    #[test]
    fn refuses_what_is_not_signed_now_over_this_body() {
        let good = sign(b"secret", BODY, now());
        let check = |header: &str, body: &[u8], offset_seconds: i64, expected| {
            let at = Timestamp::from_second(1_795_470_000 + offset_seconds).expect("in range");
            assert_eq!(verify(header, body, &["secret"], at), expected, "{header} at {offset_seconds}");
        };
        check(&good, BODY, 300, Ok(()));
        check(&good, BODY, -300, Ok(()));
        check(&good, BODY, 301, Err(SignatureError::Time));
        check(&good, BODY, -301, Err(SignatureError::Time));
        check(&good, b"{}", 0, Err(SignatureError::Mismatch));
        check(
            &good.replace("t=1795470000", "t=1795470001"),
            BODY,
            0,
            Err(SignatureError::Mismatch),
        );
        check(&good[..good.len() - 2], BODY, 0, Err(SignatureError::Mismatch));
        for header in [
            "",
            "t=1795470000",
            "v1=00",
            "t=,v1=00",
            "t=-1,v1=00",
            "t=1795470000,v1=xyz",
            "t=99999999999999999999,v1=00",
            "t=1,t=2,v1=00",
        ] {
            check(header, BODY, 0, Err(SignatureError::Form));
        }
        assert_eq!(verify(&good, BODY, &[] as &[&str], now()), Err(SignatureError::NoSecret));
    }
}

//! Retry, hedging and throttling as a service config describes them (gRFC A6). Validated here, so that a
//! config that would be refused by another gRPC client is refused by this one.

use std::time::Duration;

use highball_core::{Code, parse_json_duration};
use serde::Deserialize;

/// When a failed attempt is tried again, and after how long.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How many attempts there are at most, the first included: 2 or more.
    pub max_attempts: u32,
    /// The delay before the first retry, before jitter.
    pub initial_backoff: Duration,
    /// The longest delay.
    pub max_backoff: Duration,
    /// What each further delay is multiplied by.
    pub backoff_multiplier: f64,
    /// The codes that are worth another attempt.
    pub retryable_codes: Vec<Code>,
}

/// How many attempts are sent before the first has failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HedgingPolicy {
    /// How many attempts there are at most, the first included: 2 or more.
    pub max_attempts: u32,
    /// The time between two attempts; zero sends them all at once.
    pub hedging_delay: Duration,
    /// The codes that do not end the call while other attempts are out.
    pub non_fatal_codes: Vec<Code>,
}

/// When a channel stops retrying: a token for each failure, a part of one back for each success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryThrottling {
    /// The full bucket, in thousandths of a token: 1 to 1 000 000.
    pub max_milli_tokens: u32,
    /// What a success brings back, in thousandths of a token.
    pub milli_tokens_per_success: u32,
}

/// A field of a retry, hedging or throttling policy that is missing or out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRetryPolicy {
    /// Both kinds of policy for the same methods.
    #[error("retryPolicy and hedgingPolicy exclude each other")]
    Both,
    /// A field that must be there is not.
    #[error("invalid {policy} policy: {field} is missing")]
    Missing {
        /// `retry` or `hedging`.
        policy: &'static str,
        /// The missing field.
        field: &'static str,
    },
    /// A field is out of its range.
    #[error("invalid {policy} policy: {field} {problem}")]
    OutOfRange {
        /// `retry` or `hedging`.
        policy: &'static str,
        /// The field.
        field: &'static str,
        /// What it must be instead.
        problem: &'static str,
    },
    /// A duration is malformed.
    #[error("invalid {policy} policy: {field}: {problem}")]
    Duration {
        /// `retry` or `hedging`.
        policy: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: highball_core::BadDuration,
    },
    /// Neither a number from 0 to 16 nor a code's name.
    #[error("invalid code: {0}")]
    Code(String),
    /// `maxTokens` is out of its range.
    #[error("invalid retry throttling config: maxTokens ({0}) out of range (0, 1000]")]
    MaxTokens(f64),
    /// `tokenRatio` is zero, negative or below what counts.
    #[error("invalid retry throttling config: tokenRatio ({0}) may not be negative or below 0.001")]
    TokenRatio(f64),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetryFields {
    max_attempts: Option<u32>,
    initial_backoff: Option<String>,
    max_backoff: Option<String>,
    backoff_multiplier: Option<f64>,
    retryable_status_codes: Option<Vec<CodeField>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HedgingFields {
    max_attempts: Option<u32>,
    hedging_delay: Option<String>,
    non_fatal_status_codes: Option<Vec<CodeField>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThrottlingFields {
    max_tokens: Option<f64>,
    token_ratio: Option<f64>,
}

/// A status code, by number or by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum CodeField {
    Number(i64),
    Name(String),
}

impl TryFrom<RetryFields> for RetryPolicy {
    type Error = BadRetryPolicy;

    fn try_from(fields: RetryFields) -> Result<Self, BadRetryPolicy> {
        let policy = "retry";
        let missing = |field| BadRetryPolicy::Missing { policy, field };
        let multiplier = fields
            .backoff_multiplier
            .ok_or_else(|| missing("backoffMultiplier"))?;
        if multiplier <= 0.0 || !multiplier.is_finite() {
            return Err(out_of_range(
                policy,
                "backoffMultiplier",
                "must be greater than 0",
            ));
        }
        let codes = fields
            .retryable_status_codes
            .ok_or_else(|| missing("retryableStatusCodes"))?;
        if codes.is_empty() {
            return Err(out_of_range(
                policy,
                "retryableStatusCodes",
                "must not be empty",
            ));
        }
        Ok(Self {
            max_attempts: attempts(policy, fields.max_attempts)?,
            initial_backoff: backoff("initialBackoff", fields.initial_backoff)?,
            max_backoff: backoff("maxBackoff", fields.max_backoff)?,
            backoff_multiplier: multiplier,
            retryable_codes: codes
                .into_iter()
                .map(Code::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<HedgingFields> for HedgingPolicy {
    type Error = BadRetryPolicy;

    fn try_from(fields: HedgingFields) -> Result<Self, BadRetryPolicy> {
        let policy = "hedging";
        let codes = fields.non_fatal_status_codes.unwrap_or_default();
        Ok(Self {
            max_attempts: attempts(policy, fields.max_attempts)?,
            hedging_delay: match fields.hedging_delay {
                Some(text) => duration(policy, "hedgingDelay", &text)?,
                None => Duration::ZERO,
            },
            non_fatal_codes: codes
                .into_iter()
                .map(Code::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<ThrottlingFields> for RetryThrottling {
    type Error = BadRetryPolicy;

    fn try_from(fields: ThrottlingFields) -> Result<Self, BadRetryPolicy> {
        let max_tokens = fields.max_tokens.unwrap_or(0.0);
        let token_ratio = fields.token_ratio.unwrap_or(0.0);
        if !(max_tokens > 0.0 && max_tokens <= 1000.0) {
            return Err(BadRetryPolicy::MaxTokens(max_tokens));
        }
        if !(0.001..=1_000_000.0).contains(&token_ratio) {
            return Err(BadRetryPolicy::TokenRatio(token_ratio));
        }
        // Decimals beyond the third do not count (gRFC A6); both products fit a u32 by the checks above.
        Ok(Self {
            max_milli_tokens: (max_tokens * 1000.0) as u32,
            milli_tokens_per_success: (token_ratio * 1000.0) as u32,
        })
    }
}

impl TryFrom<CodeField> for Code {
    type Error = BadRetryPolicy;

    fn try_from(field: CodeField) -> Result<Self, BadRetryPolicy> {
        match field {
            CodeField::Number(number) => {
                Self::from_number(number).ok_or_else(|| BadRetryPolicy::Code(number.to_string()))
            }
            CodeField::Name(name) => name
                .parse()
                .map_err(|_| BadRetryPolicy::Code(format!("{name:?}"))),
        }
    }
}

fn attempts(policy: &'static str, value: Option<u32>) -> Result<u32, BadRetryPolicy> {
    match value {
        None => Err(BadRetryPolicy::Missing {
            policy,
            field: "maxAttempts",
        }),
        Some(0 | 1) => Err(out_of_range(
            policy,
            "maxAttempts",
            "must be greater than 1",
        )),
        Some(attempts) => Ok(attempts),
    }
}

fn backoff(field: &'static str, value: Option<String>) -> Result<Duration, BadRetryPolicy> {
    let policy = "retry";
    let text = value.ok_or(BadRetryPolicy::Missing { policy, field })?;
    let backoff = duration(policy, field, &text)?;
    if backoff.is_zero() {
        return Err(out_of_range(policy, field, "must be greater than 0"));
    }
    Ok(backoff)
}

fn duration(
    policy: &'static str,
    field: &'static str,
    text: &str,
) -> Result<Duration, BadRetryPolicy> {
    match parse_json_duration(text) {
        Ok((true, size)) if !size.is_zero() => {
            Err(out_of_range(policy, field, "must not be negative"))
        }
        Ok((_, size)) => Ok(size),
        Err(problem) => Err(BadRetryPolicy::Duration {
            policy,
            field,
            problem,
        }),
    }
}

fn out_of_range(
    policy: &'static str,
    field: &'static str,
    problem: &'static str,
) -> BadRetryPolicy {
    BadRetryPolicy::OutOfRange {
        policy,
        field,
        problem,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn retry(change: impl FnOnce(&mut Value)) -> Result<RetryPolicy, BadRetryPolicy> {
        let mut fields = json!({
            "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s",
            "backoffMultiplier": 2, "retryableStatusCodes": ["unavailable", 14, "RESOURCE_EXHAUSTED"],
        });
        change(&mut fields);
        serde_json::from_value::<RetryFields>(fields)
            .unwrap()
            .try_into()
    }

    #[test]
    fn a_full_retry_policy_is_read() {
        let policy = retry(|_| ()).unwrap();
        assert_eq!(policy.max_attempts, 4);
        assert_eq!(policy.initial_backoff, Duration::from_millis(100));
        let codes = [
            Code::Unavailable,
            Code::Unavailable,
            Code::ResourceExhausted,
        ];
        assert_eq!(policy.retryable_codes, codes);
    }

    #[test]
    fn a6_all_five_fields_are_mandatory() {
        for field in [
            "maxAttempts",
            "initialBackoff",
            "maxBackoff",
            "backoffMultiplier",
            "retryableStatusCodes",
        ] {
            let error = retry(|fields| fields[field] = Value::Null).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("invalid retry policy: {field} is missing")
            );
        }
    }

    #[test]
    fn a6_out_of_range_fields_are_refused() {
        for (field, value) in [
            ("maxAttempts", json!(1)),
            ("maxAttempts", json!(0)),
            ("initialBackoff", json!("0s")),
            ("maxBackoff", json!("-1s")),
            ("maxBackoff", json!("soon")),
            ("backoffMultiplier", json!(0)),
            ("retryableStatusCodes", json!([])),
            ("retryableStatusCodes", json!([17])),
            ("retryableStatusCodes", json!(["NOT_A_CODE"])),
        ] {
            let error = retry(|fields| fields[field] = value.clone())
                .unwrap_err()
                .to_string();
            assert!(error.contains("invalid"), "{field} {value}: {error}");
        }
    }

    #[test]
    fn a6_hedging_needs_attempts_and_takes_defaults_for_the_rest() {
        let parse = |json: Value| -> Result<HedgingPolicy, BadRetryPolicy> {
            serde_json::from_value::<HedgingFields>(json)
                .unwrap()
                .try_into()
        };
        let policy = parse(json!({"maxAttempts": 3})).unwrap();
        assert_eq!(
            (policy.hedging_delay, policy.non_fatal_codes.len()),
            (Duration::ZERO, 0)
        );
        assert!(parse(json!({})).is_err());
        assert!(parse(json!({"maxAttempts": 1})).is_err());
        assert!(parse(json!({"maxAttempts": 2, "hedgingDelay": "-1s"})).is_err());
    }

    #[test]
    fn throttling_is_kept_in_whole_milli_tokens() {
        let parse = |max: f64, ratio: f64| -> Result<RetryThrottling, BadRetryPolicy> {
            ThrottlingFields {
                max_tokens: Some(max),
                token_ratio: Some(ratio),
            }
            .try_into()
        };
        let throttling = parse(10.0, 0.1239).unwrap();
        assert_eq!(throttling.max_milli_tokens, 10_000);
        assert_eq!(throttling.milli_tokens_per_success, 123);
        assert_eq!(
            parse(1001.0, 0.1).unwrap_err().to_string(),
            "invalid retry throttling config: maxTokens (1001) out of range (0, 1000]"
        );
        assert!(parse(0.0, 0.1).is_err() && parse(f64::NAN, 0.1).is_err());
        assert!(parse(10.0, -0.1).is_err() && parse(10.0, 0.0).is_err());
    }
}

//! The statuses that calls see where there is no connection to use: which part failed, and why.

use highball_core::{Code, Status};

/// What calls see of a failed resolution.
pub(crate) fn resolver_error(status: &Status) -> Status {
    because("name resolver error", status)
}

/// What calls see of a connection whose server does not serve.
pub(super) fn health_error(status: &Status) -> Status {
    because("pickfirst: health check failure", status)
}

/// UNAVAILABLE, whatever the cause's code was: that one is named only where it adds something.
fn because(part: &str, cause: &Status) -> Status {
    let text = match (cause.code(), cause.message()) {
        (Code::Unavailable, message) if !message.is_empty() => format!("{part}: {message}"),
        _ => format!("{part}: {cause}"),
    };
    Status::unavailable(text).with_source(cause.clone())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn the_text_names_the_part_and_the_cause_stays_reachable() {
        let status = resolver_error(&Status::unavailable("no such host"));
        assert_eq!(
            status.to_string(),
            "UNAVAILABLE: name resolver error: no such host"
        );
        let source = status
            .source()
            .and_then(|source| source.downcast_ref::<Status>());
        assert_eq!(source, Some(&Status::unavailable("no such host")));
    }

    #[test]
    fn another_code_is_part_of_the_text() {
        let status = health_error(&Status::not_found("x"));
        assert_eq!(
            status.to_string(),
            "UNAVAILABLE: pickfirst: health check failure: NOT_FOUND: x"
        );
    }
}

//! An explanation for people: a line, or a page.

use std::fmt;

use super::phase::Readable;
use super::{Explanation, Phase, Spent};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.alternate() {
            true => self.page(f),
            false => self.line(f),
        }
    }
}

impl Explanation {
    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ended after {} while {}",
            Readable(self.took),
            self.ended_in
        )?;
        let mut separator = ": ";
        for (phase, spent) in self.phases() {
            write!(f, "{separator}{} {spent}", phase.name())?;
            separator = ", ";
        }
        self.tried(f)
    }

    /// The servers that were tried, or how many there are.
    fn tried(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "; tried ";
        for attempt in &self.attempts {
            write!(f, "{separator}{attempt}")?;
            separator = ", ";
        }
        if !self.attempts.is_empty() {
            return Ok(());
        }
        if self.came_back_from_a_server() {
            return f.write_str("; no attempt failed");
        }
        f.write_str("; no server was tried")?;
        let all = self.subchannels.len() + self.more_subchannels;
        if all == 0 {
            return Ok(());
        }
        let told = self.subchannels.iter();
        let connected = told.filter(|subchannel| subchannel.is_connected).count();
        match self.more_subchannels {
            0 => write!(f, ", {connected} of {all} connected"),
            _ => write!(f, ", {all} are known"),
        }
    }

    /// Whether an interceptor has ended a call that had an answer, or may have had one.
    fn came_back_from_a_server(&self) -> bool {
        self.ended_in == Phase::Interceptor && self.spent(Phase::Server) != Spent::NotReached
    }

    fn page(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, target) = (&self.method, &self.target);
        let (took, ended_in) = (Readable(self.took), self.ended_in);
        writeln!(
            f,
            "{method} to {target} ended after {took} while {ended_in}"
        )?;
        for phase in Phase::ALL {
            let spent = self.spent(phase);
            // Not every call has these, and one that has not misses nothing.
            let is_optional = matches!(
                phase,
                Phase::Interceptor | Phase::Credentials | Phase::Backoff
            );
            if spent == Spent::NotReached && is_optional {
                continue;
            }
            let here = match phase == self.ended_in {
                true => "  <- ended here",
                false => "",
            };
            writeln!(f, "  {:<12} {spent}{here}", phase.name())?;
        }
        self.attempts_and_subchannels(f)?;
        match &self.config {
            Some(config) => write!(f, "in force: {config}"),
            None if self.ended_in == Phase::Interceptor => {
                f.write_str("in force: unknown, for an interceptor ended the call")
            }
            None => f.write_str("in force: unknown, for no resolution had come"),
        }
    }

    fn attempts_and_subchannels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "attempts:")?;
        if self.earlier_attempts > 0 {
            writeln!(f, "  {} earlier ones", self.earlier_attempts)?;
        }
        for (index, attempt) in self.attempts.iter().enumerate() {
            writeln!(f, "  {}. {attempt:#}", self.earlier_attempts + index + 1)?;
        }
        if self.attempts.is_empty() {
            f.write_str(match self.came_back_from_a_server() {
                true => "  none that failed\n",
                false => "  none\n",
            })?;
        }
        writeln!(f, "subchannels:")?;
        for subchannel in &self.subchannels {
            writeln!(f, "  {subchannel}")?;
        }
        if self.subchannels.is_empty() {
            writeln!(f, "  none")?;
        }
        if self.more_subchannels > 0 {
            writeln!(f, "  and {} more", self.more_subchannels)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Attempt, Attempts, InForce, Seen, Subchannel};
    use super::*;
    use crate::{Code, Status};

    fn explanation() -> Explanation {
        let mut why = Explanation::new(
            "/echo.Echo/Say",
            "dns:///echo",
            Duration::from_millis(1200),
            Phase::Server,
        );
        why.set(Phase::Resolve, Spent::For(Duration::from_millis(12)));
        why.set(Phase::Pick, Spent::For(Duration::ZERO));
        why.set(Phase::Slot, Spent::For(Duration::ZERO));
        why.set(Phase::Send, Spent::Unknown);
        why.set(Phase::Server, Spent::For(Duration::from_millis(1188)));
        why
    }

    #[test]
    fn a_line_says_where_the_time_went_and_who_was_tried() {
        let mut why = explanation();
        let line = "ended after 1200 ms while waiting for the server: resolve 12 ms, pick 0 ms, \
                    stream slot 0 ms, send unknown, server 1188 ms; ";
        assert_eq!(why.to_string(), format!("{line}no server was tried"));
        for name in ["a:1", "b:2"] {
            why.subchannels
                .push(Subchannel::new(name.into(), name == "a:1"));
        }
        assert_eq!(
            why.to_string(),
            format!("{line}no server was tried, 1 of 2 connected")
        );
        why.more_subchannels = 98;
        assert_eq!(
            why.to_string(),
            format!("{line}no server was tried, 100 are known")
        );
        for server in [Some("a:1".into()), None] {
            let after = Duration::from_millis(3);
            why.attempts.push(Attempt::new(
                server,
                after,
                Code::Unavailable,
                "down",
                Seen::Answered,
            ));
        }
        let tried = "tried a:1 (UNAVAILABLE), no server (UNAVAILABLE)";
        assert_eq!(why.to_string(), format!("{line}{tried}"));
    }

    #[test]
    fn a_page_says_everything_and_what_is_unknown() {
        let mut why = explanation();
        let after = Duration::from_millis(1200);
        let attempt = Attempt::new(
            Some("a:1".into()),
            after,
            Code::DeadlineExceeded,
            "",
            Seen::Unknown,
        );
        why.attempts.push(attempt);
        why.earlier_attempts = 2;
        why.subchannels.push(Subchannel::new("a:1".into(), true));
        let mut refused = Subchannel::new("b:2".into(), false);
        refused.last_error = Some(Status::unavailable("connection refused"));
        why.subchannels.push(refused);
        why.more_subchannels = 3;
        let mut config = InForce::new(Some("round_robin"));
        config.timeout = Some(after);
        config.attempts = Attempts::Retried(4);
        why.config = Some(config);
        let expected = "\
/echo.Echo/Say to dns:///echo ended after 1200 ms while waiting for the server
  resolve      12 ms
  pick         0 ms
  stream slot  0 ms
  send         unknown
  server       1188 ms  <- ended here
attempts:
  2 earlier ones
  3. a:1 after 1200 ms: DEADLINE_EXCEEDED [whether the server has worked on it is unknown]
subchannels:
  a:1 connected, no error so far
  b:2 not connected, last error: UNAVAILABLE: connection refused
  and 3 more
in force: round_robin, time-out 1200 ms, fails fast, retried up to 4 attempts";
        assert_eq!(format!("{why:#}"), expected);
    }

    #[test]
    fn a_call_that_came_nowhere_knows_nothing_of_what_held_for_it() {
        let why = Explanation::new(
            "/echo.Echo/Say",
            "dns:///echo",
            Duration::ZERO,
            Phase::Resolve,
        );
        let page = format!("{why:#}");
        assert!(page.contains("server       not reached\n"), "{page}");
        assert!(
            page.ends_with("in force: unknown, for no resolution had come"),
            "{page}"
        );
    }
}

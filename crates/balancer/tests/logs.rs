//! The events that the crate's documentation promises to those who read logs.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use highball_balancer::{Registry, SubchannelState};
use highball_core::Status;
use highball_testkit::Sim;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down target, message and fields of every event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            // How long something took is no part of the promise.
            "took" => self.fields.push("took".to_owned()),
            name => self.fields.push(format!("{name}={value:?}")),
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let meta = event.metadata();
        let (level, target, fields) = (meta.level(), meta.target(), line.fields.join(" "));
        let text = format!("{level} {target}: {} {fields}", line.message);
        self.0.lock().expect("no holder panics").push(text);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_run_can_be_read_from_the_log() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let mut sim = Sim::new(0);
        sim.resolve(&Registry::builtin().default_choice(), ["a:1"]);
        sim.fail_resolution(Status::unavailable("no such host"));
        let refused = Status::unavailable("refused");
        sim.subchannel("a:1", SubchannelState::TransientFailure(refused));
    });
    let expected = [
        "DEBUG balancer: policy starts path=[] policy=\"pick_first\"",
        "DEBUG balancer: pass starts path=[0] addresses=1 sticky=false",
        "DEBUG balancer: published path=[0] policy=\"pick_first\" old=CONNECTING new=CONNECTING \
         picker=WaitPicker",
        "DEBUG balancer: attempt path=[0] address=a:1 state=CONNECTING",
        "DEBUG balancer: resolver error ignored path=[0] status=UNAVAILABLE: no such host",
        "DEBUG balancer: attempt path=[0] address=a:1 state=TRANSIENT_FAILURE (UNAVAILABLE: refused)",
        "DEBUG balancer: pass failed path=[0] took status=UNAVAILABLE: refused",
        "DEBUG balancer: published path=[0] policy=\"pick_first\" old=CONNECTING \
         new=TRANSIENT_FAILURE picker=FailPicker(Status { code: Unavailable, message: \"refused\" })",
    ];
    assert_eq!(*log.0.lock().expect("no holder panics"), expected);
}

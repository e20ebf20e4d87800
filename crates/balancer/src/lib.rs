//! From endpoints to a picker: load balancing.

pub mod pick_first;

mod command;
mod event;
mod path;
mod policy;

mod cx;
mod done;
mod host;
mod picker;
mod subchannel;
mod timer;
mod waker;

mod child;
mod graceful_switch;
mod lazy;
mod per_endpoint;

mod round_robin;

mod choice;
mod config;
mod registry;
mod tree;

pub use child::Child;
pub use choice::Choice;
pub use command::{Command, SubchannelId, TimerId};
pub use config::read_config;
pub use cx::Cx;
pub use done::{Done, Outcome};
pub use event::{Event, HealthState, SubchannelState};
pub use graceful_switch::GracefulSwitch;
pub use lazy::Lazy;
pub use path::Path;
pub use per_endpoint::PerEndpoint;
pub use pick_first::{EndpointWeight, PickFirst};
pub use picker::{
    CallInfo, FailPicker, IdlePicker, LbState, Pick, Picker, Selection, UsePicker, WaitPicker,
};
pub use policy::{Policy, Update};
pub use registry::{ConfigError, Level, Registry};
pub use round_robin::RoundRobin;
pub use subchannel::Subchannel;
pub use timer::Timer;
pub use tree::Tree;
pub use waker::{Wake, Waker};

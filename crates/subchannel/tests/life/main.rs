//! The life of a subchannel over a network in memory, with the clock standing still between events.

mod property;
mod rig;
mod scaling;
mod single;

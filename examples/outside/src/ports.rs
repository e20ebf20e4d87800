//! A resolver for `ports:///host:port,port,…`: one endpoint for each port.

use highball_channel::resolver::{Lookup, Polling, Resolution, Target};
use highball_channel::{Address, Status};

// The resolver: at most 15 lines.
struct Ports;

impl Lookup for Ports {
    fn scheme(&self) -> &str {
        "ports"
    }

    async fn lookup(&self, target: &Target) -> Result<Resolution, Status> {
        let (host, ports) =
            target.endpoint().split_once(':').ok_or(Status::unavailable("want host:port,port"))?;
        Ok(ports.split(',').map(|port| Address::tcp(format!("{host}:{port}"))).collect())
    }
}
// The end of the resolver.

/// What a channel builder takes.
pub fn ports() -> Polling<impl Lookup> {
    Polling::new(Ports)
}

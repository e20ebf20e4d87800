//! What the three `custom_load_balancer` examples share: a channel to two servers, and a tally.

use std::time::Duration;

use highball_channel::resolver::{ManualResolver, Resolution};
use highball_channel::{Channel, Endpoint, Request};
use highball_echo::{CustomRoundRobin, EchoClient, EchoRequest};
use highball_examples::{Outcome, every_nth_went_to};

use crate::flags::Flags;

/// A channel whose resolver knows two endpoints, and whose service config asks for the policy by name.
pub(crate) fn channel(addresses: &[String; 2], choose_second: u32) -> Outcome<Channel> {
    let config = format!(
        r#"{{"loadBalancingConfig": [{{"custom_round_robin": {{"chooseSecond": {choose_second}}}}}]}}"#
    );
    let endpoints = addresses
        .iter()
        .map(|address| Endpoint::from(address.as_str()));
    let servers = ManualResolver::new("example");
    servers.update(Resolution::new(endpoints).with_service_config(config));
    let channel = Channel::builder("example:///echo")
        .insecure()
        .resolver(servers)
        .policy::<CustomRoundRobin>()
        .build()?;
    Ok(channel)
}

/// Makes the calls, prints each reply and then the tally. An error unless the second server got exactly
/// every n-th call.
pub(crate) async fn run(channel: Channel, addresses: &[String; 2], flags: &Flags) -> Outcome {
    let Flags {
        calls,
        choose_second,
        timeout,
        ..
    } = *flags;
    let echo = EchoClient::new(channel);
    let second = format!("(from {})", addresses[1]);
    let starting = until_a_round_has_ended(&echo, &second, choose_second);
    let started = tokio::time::timeout(Duration::from_secs(timeout), starting).await;
    let missing = format!(
        "{} did not both answer within {timeout} s",
        addresses.join(" and ")
    );
    started.map_err(|_| missing)??;
    let mut to_second = 0;
    for _ in 0..calls {
        let reply = say(&echo, "this is examples/customloadbalancing").await?;
        to_second += usize::from(reply.ends_with(&second));
        println!("{reply}");
    }
    for (address, count) in addresses.iter().zip([calls - to_second, to_second]) {
        let share = 100.0 * count as f64 / calls.max(1) as f64;
        println!("{address}{count:>4} calls{share:>6.1} %");
    }
    every_nth_went_to(&addresses[1], to_second, calls, choose_second)?;
    Ok(())
}

/// Calls until both servers take part and the count stands at zero. As long as one server alone is READY it
/// gets every call; from the moment both are, the n-th call is the second server's. So a reply of the
/// second right after one of the first ends a round.
async fn until_a_round_has_ended(echo: &EchoClient, second: &str, choose_second: u32) -> Outcome {
    let mut last_was_first = false;
    loop {
        let is_second = say(echo, "are you there?").await?.ends_with(second);
        let ended = match choose_second {
            0 => !is_second,
            1 => is_second,
            _ => is_second && last_was_first,
        };
        if ended {
            return Ok(());
        }
        last_was_first = !is_second;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn say(echo: &EchoClient, text: &str) -> Outcome<String> {
    let request = Request::new(EchoRequest {
        message: text.to_owned(),
    })
    .with_wait_for_ready(true);
    Ok(echo.unary_echo(request).await?.into_message().message)
}

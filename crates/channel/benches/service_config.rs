//! JSON becomes a service config, and a call finds its method in it.

use std::hint::black_box;

use criterion::Criterion;
use highball_channel::ServiceConfig;
use highball_channel::policy::Registry;

const CONFIG: &str = r#"{
    "loadBalancingConfig": [{"unheard_of": {}}, {"round_robin": {}}],
    "methodConfig": [
        {"name": [{}], "waitForReady": true},
        {"name": [{"service": "echo.Echo"}], "timeout": "1.5s", "maxRequestMessageBytes": 4096},
        {
            "name": [{"service": "echo.Echo", "method": "Unary"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"]
            }
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
}"#;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let policies = Registry::builtin();
    criterion.bench_function("service config: parse", |bencher| {
        bencher.iter(|| ServiceConfig::parse(black_box(CONFIG), &policies));
    });
    let config = ServiceConfig::parse(CONFIG, &policies).expect("the config is valid");
    for path in ["/echo.Echo/Unary", "/other.Other/Method"] {
        criterion.bench_function(&format!("service config: find {path}"), |bencher| {
            bencher.iter(|| config.method(black_box(path)));
        });
    }
    criterion.final_summary();
}

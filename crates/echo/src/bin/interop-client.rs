//! The client of gRPC's interoperability tests, with the official flags.
//!
//! ```text
//! interop-client --server_host=127.0.0.1 --server_port=10000 --test_case=large_unary
//! ```
//!
//! The exit code says whether the case passed; if it did not, the last line says why.

#![expect(clippy::print_stdout, reason = "a program talks to its user")]

use std::time::Duration;

use clap::{ArgAction, Parser};
use highball_channel::{Channel, ChannelBuilder, MetadataMap};
use highball_echo::interop::{self, Failure, Soak, TestBackendMetrics, Tester};

/// Goes through one case of gRPC's interoperability tests.
#[derive(Debug, Parser)]
#[command(rename_all = "snake_case")]
struct Flags {
    /// The host to connect to.
    #[arg(long, default_value = "localhost")]
    server_host: String,
    /// The port to connect to.
    #[arg(long, default_value_t = 10000)]
    server_port: u16,
    /// What the server is called in its certificate, and in `:authority`.
    #[arg(long)]
    server_host_override: Option<String>,
    /// Whether to speak TLS.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    use_tls: bool,
    /// Whether to trust the test CA instead of the system's.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    use_test_ca: bool,
    /// The certificate of the CA to trust.
    #[arg(long)]
    ca_file: Option<String>,
    /// The case.
    #[arg(long, default_value = "large_unary")]
    test_case: String,
    /// The service config, in place of any that the resolver brings.
    #[arg(long)]
    service_config_json: Option<String>,
    /// Metadata for every request: `key:value;key:value`.
    #[arg(long, default_value = "")]
    additional_metadata: String,
    /// The time between two calls of `long_lived_channel`, in seconds.
    #[arg(long, default_value_t = 10)]
    iteration_interval: u64,
    #[command(flatten)]
    soak: SoakFlags,
}

#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
struct SoakFlags {
    /// How many calls a soak test makes.
    #[arg(long, default_value_t = 10)]
    soak_iterations: usize,
    /// How many of them may fail or be slow.
    #[arg(long, default_value_t = 0)]
    soak_max_failures: usize,
    /// What is slow, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    soak_per_iteration_max_acceptable_latency_ms: u64,
    /// How long a soak test may take, in seconds.
    #[arg(long, default_value_t = 10)]
    soak_overall_timeout_seconds: u64,
    /// The least time between two calls of one worker, in milliseconds.
    #[arg(long, default_value_t = 0)]
    soak_min_time_ms_between_rpcs: u64,
    /// The size of the requests' payloads.
    #[arg(long, default_value_t = 271_828)]
    soak_request_size: usize,
    /// The size of the responses' payloads.
    #[arg(long, default_value_t = 314_159)]
    soak_response_size: usize,
    /// How many workers share the calls.
    #[arg(long, default_value_t = 1)]
    soak_num_threads: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let flags = Flags::parse();
    let metadata = flags.metadata()?;
    let case = flags.test_case.as_str();
    match case {
        "rpc_soak" => {
            let tester = Tester::new(flags.channel()?, metadata);
            soak(flags.soak.choice(), || tester.clone()).await?;
        }
        "long_lived_channel" => {
            let tester = Tester::new(flags.channel()?, metadata);
            soak(flags.long_life(), || tester.clone()).await?;
        }
        "channel_soak" => {
            // Whether one can be built is known before the first call.
            flags.channel()?;
            let new = || Some(Tester::new(flags.channel().ok()?, metadata.clone()));
            let new = || new().expect("it could be built before");
            soak(flags.soak.choice(), new).await?;
        }
        case => {
            let tester = Tester::new(flags.channel()?, metadata);
            interop::run(case, &tester).await?;
        }
    }
    println!("{case}: passed");
    Ok(())
}

impl Flags {
    fn channel(&self) -> Result<Channel, Failure> {
        let target = format!("{}:{}", self.server_host, self.server_port);
        let mut builder = match self.use_tls {
            true => self.secure(Channel::builder(target))?,
            false => Channel::builder(target).insecure(),
        };
        builder = builder.policy::<TestBackendMetrics>();
        if let Some(json) = &self.service_config_json {
            builder = builder
                .disable_service_config()
                .default_service_config(json);
        }
        if let Some(name) = &self.server_host_override {
            builder = builder.authority(name);
        }
        builder
            .build()
            .map_err(|error| Failure::new(error.to_string()))
    }

    #[cfg(feature = "tls")]
    fn secure(&self, builder: ChannelBuilder) -> Result<ChannelBuilder, Failure> {
        use highball_channel::{Certificates, TlsChannelCredentials, TlsError};

        let failed = |error: TlsError| Failure::new(error.to_string());
        let tls = TlsChannelCredentials::builder();
        let tls = match &self.ca_file {
            Some(file) => tls.roots(Certificates::from_pem_file(file).map_err(failed)?),
            None if self.use_test_ca => {
                return Err(Failure::new("--use_test_ca needs the test CA's --ca_file"));
            }
            None => tls.native_roots(),
        };
        Ok(builder.credentials(tls.build().map_err(failed)?))
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, _: ChannelBuilder) -> Result<ChannelBuilder, Failure> {
        Err(Failure::new("--use_tls needs a build with --features tls"))
    }

    fn metadata(&self) -> Result<MetadataMap, Failure> {
        let mut metadata = MetadataMap::new();
        let pairs = self.additional_metadata.split(';');
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once(':')
                .ok_or_else(|| Failure::new(format!("{pair:?} is no key:value")))?;
            match key.ends_with("-bin") {
                true => metadata.append_bin(key, value.as_bytes())?,
                false => metadata.append(key, value)?,
            }
        }
        Ok(metadata)
    }

    /// As many large calls as a soak test makes, on a channel that lives for as long as they take.
    fn long_life(&self) -> Soak {
        let interval = Duration::from_secs(self.iteration_interval);
        let iterations = u32::try_from(self.soak.soak_iterations).unwrap_or(u32::MAX);
        let choice = Soak::default();
        Soak {
            iterations: self.soak.soak_iterations,
            min_interval: interval,
            overall_timeout: interval
                .saturating_mul(iterations)
                .saturating_add(choice.overall_timeout),
            ..choice
        }
    }
}

impl SoakFlags {
    fn choice(&self) -> Soak {
        Soak {
            iterations: self.soak_iterations,
            max_failures: self.soak_max_failures,
            max_latency: Duration::from_millis(self.soak_per_iteration_max_acceptable_latency_ms),
            overall_timeout: Duration::from_secs(self.soak_overall_timeout_seconds),
            min_interval: Duration::from_millis(self.soak_min_time_ms_between_rpcs),
            request_size: self.soak_request_size,
            response_size: self.soak_response_size,
            workers: self.soak_num_threads.max(1),
        }
    }
}

async fn soak(soak: Soak, tester: impl Fn() -> Tester) -> Result<(), Failure> {
    let report = soak.run(tester).await;
    println!("{report}");
    for failure in &report.failures {
        println!("{failure}");
    }
    soak.judge(&report)
}

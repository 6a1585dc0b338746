//! `forebay bench`: how many jobs a second go through, and how long one takes, at a payload size and a number in
//! flight. Client, broker and worker are three processes, as in real use.

mod bare;
mod echo;
mod local;
mod measure;

use std::time::Duration;

use clap::{Args, ValueEnum};
use forebay::api::{Client, ClientSettings, Level};
use serde_json::{Value, json};
use tempfile::TempDir;

use bare::ThroughProxy;
pub(crate) use bare::{BareEcho, BareProxy};
pub(crate) use echo::EchoWorker;
use echo::{Pattern, ThroughBroker};
use local::Comparison;
pub(crate) use local::ComputeWorker;
use measure::{Echo, Round};

use crate::cli::ask::ask;
use crate::cli::child::{self, Child};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{show, time};

/// The most jobs in flight that can be asked for; the echo worker holds so many.
const IN_FLIGHT_MAX: usize = 10_000;

/// Measures echo jobs through a broker: jobs a second and how long each takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay bench
  forebay bench --size 64k --in-flight 1,100 --transport tcp
  forebay bench --bare
  forebay bench --durable
  forebay bench --vs-local --cpu-time 5ms,0.2ms
  forebay bench --endpoint tcp://jobs.example:7711
Without --endpoint a broker of its own is started and stopped; the echo worker is a process of its own in any case.")]
pub(crate) struct Bench {
    /// Bytes of each payload, such as 16, 1k or 1M (powers of 1024).
    #[arg(long, value_name = "BYTES", default_value = "1k", value_parser = size)]
    size: usize,
    /// Jobs in flight; several, separated by commas, are measured one after the other.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,100,1000", value_parser = in_flight)]
    in_flight: Vec<usize>,
    /// Rounds for each number in flight.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long a round is, such as 2s.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::parse)]
    time: Duration,
    /// How the broker that is started for it listens.
    #[arg(long, value_enum, default_value_t = Transport::Ipc, conflicts_with = "endpoint")]
    transport: Transport,
    /// Measures beside each round the same through a bare ZeroMQ proxy: what the broker costs.
    #[arg(long, conflicts_with = "endpoint")]
    bare: bool,
    /// Measures beside each round the same with durable jobs: what keeping them costs. The broker that is started for
    /// it has its store in the folder for temporary files ($TMPDIR).
    #[arg(long, conflicts_with = "bare")]
    durable: bool,
    /// Measures computing jobs instead, on all cores of this machine: in threads of one process, and through the broker.
    /// Tells from which length of job on a broker pays.
    #[arg(long, conflicts_with_all = ["bare", "durable", "size", "in_flight"])]
    vs_local: bool,
    /// Processor time of each of these jobs, such as 5ms; several, separated by commas.
    #[arg(long, value_name = "TIME", value_delimiter = ',', default_value = "20ms,5ms,1ms,0.2ms", requires = "vs_local",
          value_parser = local::cpu_time)]
    cpu_time: Vec<Duration>,
    /// One JSON object for each round.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// How client, broker and worker are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// Unix sockets.
    Ipc,
    /// TCP on this machine, without encryption.
    Tcp,
}

/// A broker of the command's own; ends with it.
struct OwnBroker {
    process: Child,
    endpoint: String,
    _scratch: TempDir,
}

impl OwnBroker {
    fn start(transport: Transport, durable: bool) -> Result<OwnBroker, Failed> {
        let scratch = child::scratch()?;
        let ipc = format!("ipc://{}", scratch.path().join("broker").display());
        let mut command = match transport {
            Transport::Ipc => Child::own(&["broker", "--log", "warn", "--listen", &ipc])?,
            Transport::Tcp => {
                Child::own(&["broker", "--log", "error", "--listen", "tcp://127.0.0.1:0", "--insecure"])?
            }
        };
        match durable {
            true => command.arg("--store").arg(scratch.path().join("store")),
            false => command.arg("--memory"),
        };
        let mut process = Child::start("the broker", &mut command)?;
        let endpoint = process.line("listening on ")?;
        Ok(OwnBroker { process, endpoint, _scratch: scratch })
    }
}

/// What every round of volatile jobs is measured beside.
enum Beside<'a> {
    Nothing,
    Bare(Box<ThroughProxy>),
    Durable(Box<ThroughBroker<'a>>, &'a Client),
}

impl Beside<'_> {
    fn echo(&mut self) -> Option<&mut dyn Echo> {
        match self {
            Beside::Nothing => None,
            Beside::Bare(proxy) => Some(&mut **proxy),
            Beside::Durable(durable, _) => Some(&mut **durable),
        }
    }

    /// What the store has written up to now, where one is measured.
    fn written(&self) -> Result<Option<Written>, Failed> {
        let Beside::Durable(_, client) = self else { return Ok(None) };
        let status = ask(client, "status", &[])?;
        let figure = |name: &str| status["store"][name].as_u64();
        match (figure("syncs"), figure("written_bytes")) {
            (Some(syncs), Some(bytes)) => Ok(Some(Written { syncs, bytes })),
            _ => Err(Failed::new(Exit::Refused, "the broker has no store; start it with --store DIR")),
        }
    }

    /// The titles of its columns.
    fn titles(&self) -> &'static [&'static str] {
        match self {
            Beside::Nothing => &[],
            Beside::Bare(_) => &["BARE/S", "RATIO"],
            Beside::Durable(..) => &["DURABLE/S", "RATIO", "SYNCS/JOB", "BYTES/JOB"],
        }
    }
}

/// What a store has written.
struct Written {
    syncs: u64,
    bytes: u64,
}

/// One round, and the one beside it.
struct Rounds {
    broker: Round,
    bare: Option<Round>,
    durable: Option<(Round, Written)>,
}

impl Rounds {
    /// Through the broker as part of through the proxy; or durable as part of volatile.
    fn ratio(&self) -> Option<f64> {
        let volatile = self.broker.jobs_per_s();
        let bare = self.bare.as_ref().map(|bare| volatile / bare.jobs_per_s());
        bare.or_else(|| self.durable.as_ref().map(|(durable, _)| durable.jobs_per_s() / volatile))
    }
}

impl Bench {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        if self.bare && self.size < Pattern::TAG_LEN {
            return Err(Failed::usage(format!("--bare needs a --size of at least {}", Pattern::TAG_LEN)));
        }
        let mut own = match self.connection.is_chosen() {
            true => None,
            false => Some(OwnBroker::start(self.transport, self.durable)?),
        };
        let (client, endpoint) = match &own {
            Some(own) => {
                (Client::open(Some(&own.endpoint), ClientSettings::default())?, own.endpoint.clone())
            }
            None => (self.connection.open()?, self.connection.address()?),
        };
        let queue = format!("forebay-bench-{}", forebay::api::id_new()?);
        let kind = if self.vs_local { "compute" } else { "echo" };
        let mut command = Child::own(&[kind, &queue, "--endpoint", &endpoint])?;
        // The worker reaches the broker as this process does.
        self.connection.hand_on(&mut command)?;
        let mut worker = Child::start("the worker", &mut command)?;
        client.wait_workers(&queue, 1, Some(Duration::from_secs(30)))?;

        let result = match self.vs_local {
            true => self.comparison(&client, &queue).run(&self.cpu_time),
            false => self.measure(&client, &queue, &endpoint),
        };
        worker.stop(Duration::from_secs(5));
        drop(client);
        if let Some(own) = &mut own {
            own.process.stop(Duration::from_secs(5));
        }
        result
    }

    fn comparison<'a>(&self, client: &'a Client, queue: &'a str) -> Comparison<'a> {
        Comparison { client, queue, rounds: self.rounds, time: self.time, as_json: self.json }
    }

    fn measure(&self, client: &Client, queue: &str, endpoint: &str) -> Result<Exit, Failed> {
        /// How long everything runs before it is measured.
        const WARM_UP: Duration = Duration::from_millis(200);
        let mut beside = match (self.bare, self.durable) {
            (true, _) => Beside::Bare(Box::new(ThroughProxy::start(self.transport, self.size)?)),
            (_, true) => {
                let durable = ThroughBroker::new(client, queue, self.size, Level::Durable);
                Beside::Durable(Box::new(durable), client)
            }
            _ => Beside::Nothing,
        };
        let mut table = show::table();
        table.set_header(["IN FLIGHT", "ROUND", "JOBS/S", "p50", "p99", "MAX"].iter().chain(beside.titles()));
        let mut echo = ThroughBroker::new(client, queue, self.size, Level::Volatile);
        for &in_flight in &self.in_flight {
            measure::round(&mut echo, in_flight, WARM_UP)?;
            if let Some(beside) = beside.echo() {
                measure::round(beside, in_flight, WARM_UP)?;
            }
            for number in 1..=self.rounds {
                let rounds = self.rounds_of(&mut echo, &mut beside, in_flight, number)?;
                if self.json {
                    show::line(self.as_json(endpoint, in_flight, number, &rounds))?;
                }
                table.add_row(row(in_flight, number, &rounds));
            }
        }
        if !self.json {
            show::align_right(&mut table, 0);
            show::line(format_args!("echo of {} at {endpoint}", show::bytes(self.size as u64)))?;
            show::line(table)?;
        }
        Ok(Exit::Done)
    }

    /// A round through the broker and the one beside it. Each is first every other time: what changes on the machine
    /// meanwhile favours neither.
    fn rounds_of(
        &self,
        echo: &mut dyn Echo,
        beside: &mut Beside<'_>,
        in_flight: usize,
        number: u32,
    ) -> Result<Rounds, Failed> {
        let is_first = number % 2 == 1;
        let before = if is_first { Some(measure::round(echo, in_flight, self.time)?) } else { None };
        let written = beside.written()?;
        let other = beside.echo().map(|other| measure::round(other, in_flight, self.time)).transpose()?;
        let written = written.zip(beside.written()?).map(|(before, after)| Written {
            syncs: after.syncs - before.syncs,
            bytes: after.bytes - before.bytes,
        });
        let broker = match before {
            Some(before) => before,
            None => measure::round(echo, in_flight, self.time)?,
        };
        Ok(match (other, written) {
            (Some(round), Some(written)) => Rounds { broker, bare: None, durable: Some((round, written)) },
            (bare, _) => Rounds { broker, bare, durable: None },
        })
    }

    fn as_json(&self, endpoint: &str, in_flight: usize, number: u32, rounds: &Rounds) -> Value {
        let round = &rounds.broker;
        let mut object = json!({
            "endpoint": endpoint, "size": self.size, "in_flight": in_flight, "round": number,
            "jobs": round.jobs, "seconds": round.took.as_secs_f64(), "jobs_per_s": round.jobs_per_s(),
            "p50_us": round.p50.as_micros(), "p99_us": round.p99.as_micros(), "max_us": round.max.as_micros(),
        });
        if let Some(bare) = &rounds.bare {
            object["bare_per_s"] = json!(bare.jobs_per_s());
            object["bare_p50_us"] = json!(bare.p50.as_micros());
            object["bare_p99_us"] = json!(bare.p99.as_micros());
        }
        if let Some((durable, written)) = &rounds.durable {
            object["durable_per_s"] = json!(durable.jobs_per_s());
            object["durable_p50_us"] = json!(durable.p50.as_micros());
            object["durable_p99_us"] = json!(durable.p99.as_micros());
            object["syncs_per_job"] = json!(written.syncs as f64 / durable.jobs as f64);
            object["bytes_per_job"] = json!(written.bytes as f64 / durable.jobs as f64);
        }
        if let Some(ratio) = rounds.ratio() {
            object["ratio"] = json!(ratio);
        }
        object
    }
}

fn row(in_flight: usize, number: u32, rounds: &Rounds) -> Vec<String> {
    let round = &rounds.broker;
    let mut row = vec![
        in_flight.to_string(),
        number.to_string(),
        format!("{:.0}", round.jobs_per_s()),
        time::show(round.p50),
        time::show(round.p99),
        time::show(round.max),
    ];
    row.extend(rounds.bare.as_ref().map(|bare| format!("{:.0}", bare.jobs_per_s())));
    row.extend(rounds.durable.iter().map(|(durable, _)| format!("{:.0}", durable.jobs_per_s())));
    row.extend(rounds.ratio().map(|ratio| format!("{ratio:.2}")));
    if let Some((durable, written)) = &rounds.durable {
        row.push(format!("{:.3}", written.syncs as f64 / durable.jobs as f64));
        row.push(format!("{:.0}", written.bytes as f64 / durable.jobs as f64));
    }
    row
}

fn size(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "ki" | "kib" => 10,
        "m" | "mi" | "mib" => 20,
        _ => return Err("a size is a number, with k or M behind it if you like".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "no number".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

fn in_flight(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=IN_FLIGHT_MAX).contains(&n) => Ok(n),
        _ => Err(format!("a number from 1 to {IN_FLIGHT_MAX}")),
    }
}

//! Options to settings: each handle's keys, read once when it is opened.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::api::log::{LogFormat, LogSettings};
use crate::api::options::Options;
use crate::api::options::table::{HEADER_PREFIX, OptionInfo, PARAM_PREFIX};
use crate::api::options::value::{self, Value};
use crate::api::slots::HostSettings;
use crate::model::{Failure, Headers, JobOptions, JobRules, Level};
use crate::run::settings::{AckMode, BrokerSettings, ClientSettings, Keys, RegisterSettings, WorkerSettings};

impl Options {
    /// The settings of a client.
    ///
    /// # Errors
    /// `ERR_OPTION` when the environment's value of a key does not fit. So for all of these.
    pub fn client_settings(&self) -> Result<ClientSettings, Failure> {
        Ok(ClientSettings {
            name: self.text("client.name")?.unwrap_or_default(),
            window_jobs: self.number("client.window_jobs")?,
            window_bytes: self.number("client.window_bytes")?,
            linger_ms: self.number("client.linger_ms")?,
            ack: match self.text("client.ack")?.as_deref() {
                Some("manual") => AckMode::Manual,
                _ => AckMode::Auto,
            },
            keys: Keys {
                broker_key: self.text("client.broker_key")?,
                key_file: self.path("client.key_file")?,
            },
        })
    }

    /// The settings of a worker.
    ///
    /// # Errors
    /// As for [`Options::client_settings`].
    pub fn worker_settings(&self) -> Result<WorkerSettings, Failure> {
        Ok(WorkerSettings {
            name: self.text("worker.name")?.unwrap_or_default(),
            slots: self.said_number("worker.slots")?,
            prefetch: self.said_number("worker.prefetch")?,
            linger_ms: self.number("worker.linger_ms")?,
            broker_gone_ms: self.number("worker.broker_gone_ms")?,
            unacked_bytes: self.number("worker.unacked_bytes")?,
            keys: Keys {
                broker_key: self.text("worker.broker_key")?,
                key_file: self.path("worker.key_file")?,
            },
        })
    }

    /// How a worker takes a queue.
    ///
    /// # Errors
    /// As for [`Options::client_settings`].
    pub fn register_settings(&self) -> Result<RegisterSettings, Failure> {
        Ok(RegisterSettings {
            slots: self.number("register.slots")?,
            weight: self.number("register.weight")?,
        })
    }

    /// The settings of a host of plugins.
    ///
    /// # Errors
    /// As for [`Options::client_settings`].
    pub fn host_settings(&self) -> Result<HostSettings, Failure> {
        Ok(HostSettings {
            load: self.list("host.load")?,
            queues: self.list("host.queues")?,
            slots: self.number("host.slots")?,
            first_slot: self.number("host.slot")?,
            max_jobs: self.number("host.max_jobs")?,
            retrieve: self.get("host.retrieve")?.filter(|command| !command.is_empty()),
            save: self.get("host.save")?.filter(|command| !command.is_empty()),
            report: self.path("host.report")?,
            worker: self.worker_settings()?,
            register: self.register_settings()?,
        })
    }

    /// The parameters that were set, by their names.
    pub fn params(&self) -> Vec<(String, Vec<u8>)> {
        let named = |(key, value): (&String, &Value)| match value {
            Value::Bytes(bytes) => Some((key.strip_prefix(PARAM_PREFIX)?.to_owned(), bytes.clone())),
            _ => None,
        };
        self.values.iter().filter_map(named).collect()
    }

    /// The settings of a broker. Its rules are the job's options over the table's defaults.
    ///
    /// # Errors
    /// As for [`Options::client_settings`].
    pub fn broker_settings(&self) -> Result<BrokerSettings, Failure> {
        Ok(BrokerSettings {
            listen: self.list("broker.listen")?,
            store: self.path("broker.store")?,
            store_max: self.number("broker.store_max")?,
            memory_max: self.number("broker.memory_max")?,
            cache_max: self.number("broker.cache_max")?,
            payload_max: self.number("broker.payload_max")?,
            retention_ms: Some(self.number("broker.retention_ms")?),
            quarantine_ms: self.number("broker.quarantine_ms")?,
            stage_idle_ms: self.number("broker.stage_idle_ms")?,
            lease_ms: self.number("broker.lease_ms")?,
            beat_ms: self.number("broker.beat_ms")?,
            reattach_ms: self.number("broker.reattach_ms")?,
            key_file: self.path("broker.key_file")?,
            clients_file: self.path("broker.clients_file")?,
            insecure: self.said_of("broker.insecure")? == Some(Value::Switch(true)),
            rules: JobRules::default().with(&self.job_options()?.0),
            queue_max_jobs: self.number("queue.max_jobs")?,
            queue_max_bytes: self.number("queue.max_bytes")?,
        })
    }

    /// Where a broker's log goes, and how its lines look.
    ///
    /// # Errors
    /// As for [`Options::client_settings`].
    pub fn log_settings(&self) -> Result<LogSettings, Failure> {
        Ok(LogSettings {
            file: self.path("broker.log_file")?,
            format: match self.text("broker.log_format")?.as_deref() {
                Some("json") => LogFormat::Json,
                _ => LogFormat::Text,
            },
        })
    }

    /// What a submission says of its own rules, and its headers: only what was set or stands in the environment.
    ///
    /// # Errors
    /// As for [`Options::client_settings`].
    pub fn job_options(&self) -> Result<(JobOptions, Headers), Failure> {
        Ok((*self.prepared_job()?).clone())
    }

    /// The same, read once and shared until another key is set.
    pub(crate) fn prepared_job(&self) -> Result<Arc<(JobOptions, Headers)>, Failure> {
        if let Some(ready) = self.job.get() {
            return Ok(Arc::clone(ready));
        }
        let read = Arc::new((self.read_job()?, self.read_headers()));
        Ok(Arc::clone(self.job.get_or_init(|| read)))
    }

    fn read_job(&self) -> Result<JobOptions, Failure> {
        Ok(JobOptions {
            priority: self.said_number("job.priority")?,
            delay_ms: self.said_number("job.delay_ms")?,
            queue_ms: self.said_number("job.queue_ms")?,
            run_ms: self.said_number("job.run_ms")?,
            soft_ms: self.said_number("job.soft_ms")?,
            stall_ms: self.said_number("job.stall_ms")?,
            deadline_ms: self.said_number("job.deadline_ms")?,
            attempts: self.said_number("job.attempts")?,
            backoff_ms: self.said_number("job.backoff_ms")?,
            backoff_ms_max: self.said_number("job.backoff_ms_max")?,
            releases: self.said_number("job.releases")?,
            level: self.said_text("job.level")?.map(|word| match word.as_str() {
                "volatile" => Level::Volatile,
                "durable" => Level::Durable,
                _ => Level::Auto,
            }),
            result_ttl_ms: self.said_number("job.result_ttl_ms")?,
            partial_bytes: self.said_number("job.partial_bytes")?,
            refuse_unknown_queue: self.said_text("job.unknown_queue")?.map(|word| word == "refuse"),
            serial_key: self.said_text("job.serial_key")?.map(|key| key.as_str().into()),
            serial_jobs: self.said_number("job.serial_jobs")?,
        })
    }

    fn read_headers(&self) -> Headers {
        let mut headers = Headers::default();
        for (key, value) in &self.values {
            if let (Some(name), Value::Bytes(bytes)) = (key.strip_prefix(HEADER_PREFIX), value) {
                headers.0.push((name.to_owned(), Bytes::copy_from_slice(bytes)));
            }
        }
        headers
    }

    /// The arguments of an operator's command: `admin.`, `job.` and `queue.` keys without that prefix and `param.` keys with it,
    /// as the commands name them. The environment has no say in them.
    pub fn admin_arguments(&self) -> Vec<(String, String)> {
        let argument = |(key, value): (&String, &Value)| {
            let (family, name) = key.split_once('.')?;
            let named = match family {
                "admin" | "job" | "queue" => name,
                "param" => key,
                _ => return None,
            };
            Some((named.to_owned(), value.to_string()))
        };
        self.values.iter().filter_map(argument).collect()
    }

    fn said_of(&self, key: &str) -> Result<Option<Value>, Failure> {
        self.said(self.info(key)?, key)
    }

    /// The value in effect of a key whose row has a default that is a number.
    fn number<T: TryFrom<i64> + Default>(&self, key: &str) -> Result<T, Failure> {
        let info: &OptionInfo = self.info(key)?;
        let value = match self.said(info, key)? {
            Some(value) => value,
            None => value::parse(info, key, info.default)?,
        };
        Ok(as_number(&value).unwrap_or_default())
    }

    /// The number that was said; `None` for auto and for nothing.
    fn said_number<T: TryFrom<i64>>(&self, key: &str) -> Result<Option<T>, Failure> {
        Ok(self.said_of(key)?.as_ref().and_then(as_number))
    }

    fn said_text(&self, key: &str) -> Result<Option<String>, Failure> {
        Ok(match self.said_of(key)? {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        })
    }

    /// The text in effect; `None` for an empty one.
    fn text(&self, key: &str) -> Result<Option<String>, Failure> {
        Ok(self.said_text(key)?.filter(|text| !text.is_empty()))
    }

    fn list(&self, key: &str) -> Result<Vec<String>, Failure> {
        Ok(match self.said_of(key)? {
            Some(Value::List(items)) => items,
            _ => Vec::new(),
        })
    }

    fn path(&self, key: &str) -> Result<Option<PathBuf>, Failure> {
        Ok(self.text(key)?.map(PathBuf::from))
    }
}

/// The table's bounds keep every number inside its setting's type; a test holds that for each row.
fn as_number<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    match value {
        Value::Number(number) => T::try_from(*number).ok(),
        _ => None,
    }
}

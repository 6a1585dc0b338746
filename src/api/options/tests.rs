//! The table is sound, and options say what is wrong with which value.

use super::*;
use crate::run::settings::{AckMode, BrokerSettings, ClientSettings, RegisterSettings, WorkerSettings};

fn message(result: Result<(), Failure>) -> String {
    let failure = result.expect_err("should have been refused");
    assert_eq!(failure.status, Status::Option);
    failure.message
}

#[test]
fn every_row_is_sound() {
    let mut families = Vec::new();
    for (i, info) in TABLE.iter().enumerate() {
        assert!(info.key.starts_with(&format!("{}.", info.family.name())), "{}", info.key);
        assert!(!TABLE[..i].iter().any(|other| other.key == info.key), "{} twice", info.key);
        assert!(info.text.ends_with('.'), "{}", info.key);
        if !info.default.is_empty() {
            value::parse(info, info.key, info.default).unwrap();
        }
        if families.last() != Some(&info.family) {
            families.push(info.family);
        }
    }
    assert_eq!(families, Family::ALL, "rows of one family stand together, in the order of Family::ALL");
}

#[test]
fn settings_without_options_are_the_settings_defaults() {
    let none = Options::new();
    let read = (none.client_settings().unwrap(), none.worker_settings().unwrap());
    assert_eq!(format!("{read:?}"), format!("{:?}", (ClientSettings::default(), WorkerSettings::default())));
    assert_eq!(none.register_settings().unwrap(), RegisterSettings::default());
    let mut read = none.broker_settings().unwrap();
    assert_eq!(read.retention_ms.take(), Some(limits::RETENTION_MS));
    assert_eq!(format!("{read:?}"), format!("{:?}", BrokerSettings::default()));
    assert_eq!(none.job_options().unwrap(), (JobOptions::default(), Headers::default()));
}

#[test]
fn every_number_fits_its_setting_at_both_ends() {
    for at in [0, 1] {
        let mut all = Options::new();
        for info in TABLE {
            if let Kind::Count { min, max }
            | Kind::AutoCount { min, max }
            | Kind::Millis { min, max }
            | Kind::Bytes { min, max } = info.kind
            {
                all.set_int(info.key, [min, max][at]).unwrap();
            }
        }
        let client = all.client_settings().unwrap();
        assert_eq!(client.window_jobs, [1, 1_000_000][at]);
        let worker = all.worker_settings().unwrap();
        assert_eq!(
            (worker.slots, worker.prefetch),
            ([Some(1), Some(10_000)][at], [Some(0), Some(10_000)][at])
        );
        let broker = all.broker_settings().unwrap();
        assert_eq!(broker.payload_max, [1 << 10, 1 << 31][at]);
        let (job, _) = all.job_options().unwrap();
        assert_eq!(
            (job.priority, job.attempts, job.releases),
            [(Some(1), Some(1), Some(0)), (Some(8), Some(1_000), Some(1_000_000))][at]
        );
        assert!(job.run_ms.is_some() && job.partial_bytes.is_some() && job.result_ttl_ms.is_some());
    }
}

#[test]
fn values_carry_units() {
    let mut options = Options::new();
    options.set("client.window_bytes", "8Mi").unwrap();
    options.set("client.linger_ms", "3s").unwrap();
    options.set("client.ack", "Manual").unwrap();
    let client = options.client_settings().unwrap();
    assert_eq!((client.window_bytes, client.linger_ms, client.ack), (8 << 20, 3_000, AckMode::Manual));
    for (text, ms) in [("1500", 1_500), ("15 ms", 15), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)]
    {
        options.set("job.run_ms", text).unwrap();
        assert_eq!(options.job_options().unwrap().0.run_ms, Some(ms), "{text}");
    }
    for (text, bytes) in [("64k", 64_000), ("1MiB", 1 << 20), ("1MB", 1_000_000), ("0", 0)] {
        options.set("job.partial_bytes", text).unwrap();
        assert_eq!(options.job_options().unwrap().0.partial_bytes, Some(bytes), "{text}");
    }
    options.set("broker.listen", "tcp://[::1]:0, ipc:///tmp/x,").unwrap();
    options.set("broker.insecure", "yes").unwrap();
    let broker = options.broker_settings().unwrap();
    assert_eq!(broker.listen, ["tcp://[::1]:0", "ipc:///tmp/x"]);
    assert!(broker.insecure);
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    let mut options = Options::new();
    for (key, nearest) in [
        ("client.window_job", "client.window_jobs"),
        ("job.prioritty", "job.priority"),
        ("lease_ms", "broker.lease_ms"),
        ("worker.slot", "worker.slots"),
        ("brokr.listen", "broker.listen"),
    ] {
        let text = message(options.set(key, "1"));
        assert!(text.contains(key) && text.ends_with(&format!("nearest is {nearest}")), "{text}");
    }
    let text = message(options.set("completely/else", "1"));
    assert!(text.contains("`forebay options`"), "{text}");
    assert!(options.get("job.prioritty").is_err() && options.unset("job.prioritty").is_err());
    message(options.set("job.header.NAME\n", "x"));
    message(options.set("job.header.", "x"));
}

#[test]
fn a_wrong_value_is_answered_with_what_would_be_right() {
    let mut options = Options::new();
    for (key, value, parts) in [
        ("job.priority", "9", ["too large", "1 to 8"]),
        ("job.priority", "high", ["not a whole number", "1 to 8"]),
        ("job.run_ms", "-1", ["too small", "30s"]),
        ("job.run_ms", "5 weeks", ["not a time", "30s"]),
        ("client.window_bytes", "64Wi", ["not a number of bytes", "64Mi"]),
        ("client.window_bytes", "99999999Ti", ["not a number of bytes", "64Mi"]),
        ("job.level", "paper", ["not one of its words", "auto | volatile | durable"]),
        ("broker.insecure", "maybe", ["not a switch", "true | false"]),
        ("client.name", "a\u{7}", ["control character", "text"]),
        ("admin.id", "12", ["not an id", "job id"]),
        ("worker.slots", "0", ["too small", "auto, or count, 1 to 10000"]),
    ] {
        let text = message(options.set(key, value));
        assert!(text.contains(key) && parts.iter().all(|part| text.contains(part)), "{text}");
    }
    message(options.set_int("job.level", 1));
    message(options.set_int("job.attempts", 0));
    message(options.set_bytes("client.name", b"\xff"));
    assert!(options.values.is_empty(), "a refused value changes nothing");
}

#[test]
fn headers_take_any_bytes_and_reach_the_job() {
    let mut options = Options::new();
    options.set_bytes("job.header.trace-id", b"\0\xff").unwrap();
    options.set("job.header.a.b", "text").unwrap();
    let (_, headers) = options.job_options().unwrap();
    let read: Vec<_> = headers.0.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    assert_eq!(read, [("a.b", &b"text"[..]), ("trace-id", &b"\0\xff"[..])]);
    assert_eq!(options.get_bytes("job.header.trace-id").unwrap().as_deref(), Some(&b"\0\xff"[..]));
    options.unset("job.header.a.b").unwrap();
    assert_eq!(options.job_options().unwrap().1.0.len(), 1, "what was prepared is prepared anew");
}

#[test]
fn a_file_is_taken_whole_or_not_at_all() {
    let mut options = Options::new();
    options
        .load_text(
            "[client]\nname = \"web\"\nwindow_bytes = \"1Mi\"\n[broker]\nlisten = [\"ipc:///a\", \"ipc:///b\"]\n\
             insecure = true\n[job]\npriority = 8\nheader.lang = \"de\"\n",
            "f.toml",
        )
        .unwrap();
    assert_eq!(options.get("client.name").unwrap().as_deref(), Some("web"));
    assert_eq!(options.client_settings().unwrap().window_bytes, 1 << 20);
    assert_eq!(options.broker_settings().unwrap().listen, ["ipc:///a", "ipc:///b"]);
    assert_eq!(options.broker_settings().unwrap().rules.priority, 8);
    assert_eq!(options.job_options().unwrap().1.0[0].0, "lang");
    for (text, part) in [
        ("[client]\nname = \"other\"\nnam = 1", "nearest is client.name"),
        ("[client]\nlinger_ms = 1.5", "a fraction"),
        ("[client]\nname = [\"a\"]", "a list"),
        ("client = 5", "no option \"client\""),
        ("[client", "f.toml"),
    ] {
        let failure = message(options.load_text(text, "f.toml"));
        assert!(failure.contains(part) && failure.contains("f.toml"), "{failure}");
    }
    assert_eq!(options.get("client.name").unwrap().as_deref(), Some("web"));
    let missing = options.load(std::path::Path::new("/nonexistent/f.toml")).unwrap_err();
    assert_eq!(missing.status, Status::Io);
}

#[test]
fn arguments_of_a_command_lose_their_prefix() {
    let mut options = Options::new();
    options.set("admin.queue", "resize").unwrap();
    options.set("job.run_ms", "5s").unwrap();
    options.set("queue.max_jobs", "7").unwrap();
    options.set("client.name", "x").unwrap();
    let arguments = options.admin_arguments();
    let read: Vec<_> = arguments.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(read, [("queue", "resize"), ("run_ms", "5000"), ("max_jobs", "7")]);
}

#[test]
fn variables_are_named_after_their_keys() {
    let named: Vec<_> = TABLE.iter().filter_map(OptionInfo::variable).collect();
    assert!(named.contains(&"FOREBAY_CLIENT_WINDOW_JOBS".to_owned()));
    assert!(!named.iter().any(|name| name.contains("ADMIN") || name.contains("HEADER")));
}

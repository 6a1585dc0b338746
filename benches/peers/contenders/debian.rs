//! The peers, as Debian packages them: nats-server, redis-server, beanstalkd, gearman-job-server with libgearman-dev.

use std::path::PathBuf;
use std::process::Command;

use super::{Stage, built, c_source, free_port, installed, role, wait_port, wait_until};
use crate::cell::{Level, Transport};
use crate::process::Part;

const HOST: &str = "127.0.0.1";

/// The first line of what a program says of its version, if it is installed.
pub(super) fn version(program: &str, flag: &str) -> Option<String> {
    let said = Command::new(installed(program).unwrap_or_else(|| program.into())).arg(flag).output().ok()?;
    let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

fn server(stage: &Stage, program: &str, package: &str) -> Result<Command, String> {
    if stage.wiring.curve {
        return Err("it knows no CURVE".to_owned());
    }
    let file = installed(program);
    let file = file.ok_or_else(|| format!("{program} is not installed (Debian: {package})"))?;
    let mut command = Command::new(file);
    let log = std::fs::File::create(stage.folder.join("server.log")).expect("a file in a private folder");
    command.stderr(log);
    Ok(command)
}

/// The role `NAME-worker` and `NAME-client` at an address.
fn peers(stage: &mut Stage, name: &str, address: &str) {
    stage.workers(&mut role(&[&format!("{name}-worker"), address]), true);
    stage.run(Part::Client, &mut role(&[&format!("{name}-client"), address]));
}

pub(super) fn nats(stage: &mut Stage) -> Result<(), String> {
    let mut server = server(stage, "nats-server", "nats-server")?;
    if stage.wiring.level == Level::Durable {
        return Err("request and reply keeps nothing".to_owned());
    }
    let port = free_port();
    server.args(["-a", HOST, "-p", &port.to_string(), "-l"]).arg(stage.folder.join("nats.log"));
    stage.run(Part::Server, &mut server);
    wait_port(port);
    peers(stage, "nats", &format!("{HOST}:{port}"));
    Ok(())
}

pub(super) fn redis(stage: &mut Stage) -> Result<(), String> {
    let mut server = server(stage, "redis-server", "redis-server")?;
    server.args(["--save", "", "--dir"]).arg(stage.folder.path());
    if stage.wiring.level == Level::Durable {
        server.args(["--appendonly", "yes", "--appendfsync", "always"]);
    }
    let address = match stage.wiring.transport {
        Transport::Ipc => {
            let path = stage.folder.join("redis.sock");
            server.args(["--port", "0", "--unixsocket"]).arg(&path);
            path.display().to_string()
        }
        Transport::Tcp => {
            let port = free_port();
            server.args(["--bind", HOST, "--port", &port.to_string()]);
            format!("{HOST}:{port}")
        }
    };
    stage.run(Part::Server, &mut server);
    wait_address(&address);
    peers(stage, "redis", &address);
    Ok(())
}

pub(super) fn beanstalkd(stage: &mut Stage) -> Result<(), String> {
    let mut server = server(stage, "beanstalkd", "beanstalkd")?;
    // Its limit is on the job, which is as long as the longest payload here.
    server.args(["-z", "2097152"]);
    if stage.wiring.level == Level::Durable {
        server.arg("-f0").arg("-b").arg(stage.folder.path());
    }
    let address = match stage.wiring.transport {
        Transport::Ipc => {
            let path = stage.folder.join("beanstalkd.sock").display().to_string();
            server.args(["-l", &format!("unix:{path}")]);
            path
        }
        Transport::Tcp => {
            let port = free_port();
            server.args(["-l", HOST, "-p", &port.to_string()]);
            format!("{HOST}:{port}")
        }
    };
    stage.run(Part::Server, &mut server);
    wait_address(&address);
    peers(stage, "beanstalk", &address);
    Ok(())
}

fn wait_address(address: &str) {
    match address.rsplit_once(':') {
        Some((HOST, port)) => wait_port(port.parse().expect("a port")),
        _ => wait_until("a server's socket", || std::os::unix::net::UnixStream::connect(address).is_ok()),
    }
}

pub(super) fn gearmand(stage: &mut Stage) -> Result<(), String> {
    let mut server = server(stage, "gearmand", "gearman-job-server")?;
    if stage.wiring.level == Level::Durable {
        return Err("jobs that a client waits for are not kept by any of its queues".to_owned());
    }
    let [worker, client] = [gearman_program("gearman_worker")?, gearman_program("gearman_client")?];
    let port = free_port().to_string();
    server.args(["--listen", HOST, "--port", &port, "--log-file", "none"]);
    stage.run(Part::Server, &mut server);
    wait_port(port.parse().expect("a port"));
    stage.workers(Command::new(worker).args([HOST, &port]), true);
    stage.run(Part::Client, Command::new(client).args([HOST, &port]));
    Ok(())
}

/// A C program over libgearman, built once in each run.
fn gearman_program(name: &str) -> Result<PathBuf, String> {
    let program = built(name);
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut compile = Command::new(compiler);
    compile.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    let made = compile.arg(c_source(name).with_extension("c")).arg("-lgearman").output();
    match made {
        Ok(made) if made.status.success() => Ok(program),
        Ok(made) if String::from_utf8_lossy(&made.stderr).contains("libgearman/gearman.h") => {
            Err("libgearman's header is not installed (Debian: libgearman-dev)".to_owned())
        }
        Ok(made) => panic!("{compile:?}: {}", String::from_utf8_lossy(&made.stderr)),
        Err(error) => Err(format!("no C compiler: {error}")),
    }
}

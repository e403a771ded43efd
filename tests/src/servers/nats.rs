//! NATS with JetStream: a server starts in milliseconds, so tests may have their own.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    sync::OnceLock,
    time::Duration,
};

use super::{
    fetched::nats_server,
    ports::free_port,
    supervised::{Directory, Supervised},
};
use crate::waiting::Log;

/// How often other ports are tried when somebody took one first.
const MAX_PORTS: usize = 5;
/// For an answer of a server that runs; a look is repeated.
const LOOK_AT_MOST: Duration = Duration::from_secs(1);

/// A server of a test's own. It goes with its streams when dropped or when the test process ends. Its methods block, as
/// those of [`TestApp`](crate::TestApp) do.
#[derive(Debug)]
pub struct Nats {
    server: Supervised,
    port: u16,
    monitor_port: u16,
    store: PathBuf,
    config: PathBuf,
}

/// The server for ordinary tests, without users. This test process starts it at the first call, and it ends with it.
pub fn nats() -> &'static Nats {
    static SHARED: OnceLock<Nats> = OnceLock::new();
    SHARED.get_or_init(|| Nats::private(""))
}

impl Nats {
    /// Starts one. `config` is the text of a `nats.conf`, of which ports and a line with `store_dir` do not count.
    pub fn private(config: &str) -> Self {
        for _ in 0..MAX_PORTS {
            match Self::try_start(config, [free_port(), free_port()]) {
                Err(error) if error.contains("address already in use") => {}
                started => return started.unwrap_or_else(|error| panic!("{error}")),
            }
        }
        panic!("{MAX_PORTS} times somebody else took the free port")
    }

    fn try_start(config: &str, [port, monitor_port]: [u16; 2]) -> Result<Self, String> {
        let directory = Directory::new();
        let store = directory.path().join("store");
        let config = directory.write("server.conf", &completed(config));
        let [port_text, monitor_text] = [port, monitor_port].map(|port| port.to_string());
        let [config_text, store_text] = [&config, &store].map(|path| path.to_str().expect("paths are text"));
        let mut arguments = vec!["-c", config_text, "-a", "127.0.0.1", "-p", &port_text, "-m", &monitor_text];
        arguments.extend(["-js", "-sd", store_text]);
        let server = directory.supervise("KILL", &nats_server(), &arguments);
        let nats = Self { server, port, monitor_port, store, config };
        nats.try_start_again()?;
        Ok(nats)
    }

    /// Starts it again after [`Nats::kill`] or [`Nats::stop`], with the same ports and streams.
    pub fn start(&self) {
        self.try_start_again().unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_start_again(&self) -> Result<(), String> {
        self.server.start("NATS", || self.ready())
    }

    /// Clients are greeted and streams are recovered.
    fn ready(&self) -> Result<(), String> {
        let greeting = talk(self.port, "", 5).map_err(|error| format!("port {}: {error}", self.port))?;
        let health = talk(self.monitor_port, "GET /healthz HTTP/1.0\r\n\r\n", 12)
            .map_err(|error| format!("port {}: {error}", self.monitor_port))?;
        if greeting == "INFO " && health == "HTTP/1.0 200" { Ok(()) } else { Err(format!("{greeting}, {health}")) }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Of the monitoring endpoints, such as `/jsz`.
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// How many streams there are.
    ///
    /// # Errors
    /// When the server does not say.
    pub fn streams(&self) -> Result<u64, String> {
        let answer = ask(self.monitor_port, "GET /jsz HTTP/1.0\r\n\r\n").map_err(|error| error.to_string())?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let seen: serde_json::Value = serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))?;
        seen["streams"].as_u64().ok_or(answer)
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn log(&self) -> Log {
        self.server.log()
    }

    pub fn kill(&self) {
        self.server.crash();
    }

    /// Writes what it holds and ends.
    pub fn stop(&self) {
        self.server.stop("NATS", "TERM");
    }

    /// Stands still: connections stay, nobody answers.
    pub fn pause(&self) {
        self.server.freeze();
    }

    pub fn resume(&self) {
        self.server.resume();
    }

    /// Deletes all streams and consumers of a server that does not run.
    pub fn wipe(&self) {
        assert!(!self.server.runs(), "NATS runs");
        fs::remove_dir_all(&self.store).unwrap();
    }

    /// Makes `config` the one of the next start.
    pub fn configure(&self, config: &str) {
        fs::write(&self.config, completed(config)).unwrap();
    }
}

/// NATS takes the directory from one place only. Where the text says nothing of JetStream, streams may be as large as
/// their settings say: NATS alone would allow three quarters of the disk that is free, and refuse the default ones on a
/// small one.
fn completed(config: &str) -> String {
    let lines = config.lines().filter(|line| !line.trim_start().starts_with("store_dir"));
    let mut completed: String = lines.flat_map(|line| [line, "\n"]).collect();
    if !completed.contains("jetstream {") {
        completed.push_str("jetstream { max_file_store: 100GB }\n");
    }
    completed
}

/// The first `length` bytes that the port says to `words`.
fn talk(port: u16, words: &str, length: usize) -> io::Result<String> {
    let mut said = vec![0; length];
    spoken_to(port, words)?.read_exact(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// All that the port says to `words` before it hangs up.
fn ask(port: u16, words: &str) -> io::Result<String> {
    let mut said = vec![];
    spoken_to(port, words)?.read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn spoken_to(port: u16, words: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), LOOK_AT_MOST)?;
    stream.set_read_timeout(Some(LOOK_AT_MOST))?;
    stream.write_all(words.as_bytes())?;
    Ok(stream)
}

//! `starscreen health`: whether a server answers, for who has no curl, such as a container's health check.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use serde_json::Value;

use super::table::say;
use crate::{config::Settings, http::chain};

const PATIENCE: Duration = Duration::from_secs(4);

/// Asks `url`, or the server of these settings whether it can be sent requests, and says what it answers. False: not.
pub async fn run(settings: &Settings, url: Option<&str>) -> bool {
    let own = format!("http://{}/health/ready", reachable(settings.listen));
    let url = url.unwrap_or(&own);
    let asked = async {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let answer = client.get(url).send().await?;
        Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
    };
    match asked.await {
        Ok((status, body)) if status.is_success() => {
            let faults = faults(&body);
            let but = if faults.is_empty() { String::new() } else { format!(", but {faults}") };
            say(format_args!("{url} answers {status}{but}"))
        }
        Ok((status, body)) => {
            say(format_args!("{url} answers {status}: {}", faults(&body)));
            return false;
        }
        Err(error) => {
            say(format_args!("{}", chain(&error)));
            return false;
        }
    };
    true
}

/// A server that listens everywhere is asked here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// What the health pages call unhealthy.
fn faults(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let checks = body["checks"].as_object().into_iter().flatten();
    let unhealthy = checks.filter(|(_, check)| check["status"] != "healthy");
    let told = unhealthy.map(|(name, check)| format!("{name}: {}", check["detail"].as_str().unwrap_or_default()));
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_here() {
        for (listen, asked) in
            [("0.0.0.0:8000", "127.0.0.1:8000"), ("[::]:8000", "[::1]:8000"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn what_is_unhealthy_is_told() {
        let body =
            r#"{"checks":{"a":{"status":"healthy","detail":"x"},"b":{"status":"unhealthy","detail":"it is down"}}}"#;
        assert_eq!(faults(body), "b: it is down");
        assert_eq!(faults("<html>"), "");
    }
}

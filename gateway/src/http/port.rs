//! The port that a server listens on: its own, or shared by gateways that are restarted one after the other.
//!
//! The system gives each new connection to one of those that share a port, and resets what still waits for one that
//! closes its listener. So who leaves first turns new connections away, silently: their clients' systems try again after
//! a second, and meet another gateway. Then it accepts what waits, and only then it closes.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// A connection whose making has begun is there after this long; less than the second after which a client that was
/// turned away tries again.
const HANDSHAKE: Duration = Duration::from_millis(200);

/// A port that nobody else can take any more.
pub enum Port {
    /// Connections wait from now on.
    Own(TcpListener),
    /// Connections come when it is opened.
    Shared(TcpSocket),
}

/// A port that takes connections.
pub struct Listener {
    pub(super) accepts: TcpListener,
    shared: bool,
}

impl Port {
    /// # Errors
    /// When somebody listens there already.
    pub async fn own(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::Own(TcpListener::bind(address).await?))
    }

    /// # Errors
    /// When somebody listens there who does not share.
    pub fn shared(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        Ok(Self::Shared(socket))
    }

    /// Takes connections from now on: whoever cannot answer yet must not be given any.
    ///
    /// # Errors
    /// When somebody who does not share was faster.
    pub fn open(self) -> io::Result<Listener> {
        match self {
            Self::Own(accepts) => Ok(Listener { accepts, shared: false }),
            Self::Shared(socket) => Ok(Listener { accepts: socket.listen(BACKLOG)?, shared: true }),
        }
    }
}

impl Listener {
    /// # Errors
    /// When the system does not know it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.accepts.local_addr()
    }

    /// Others answer when this one is gone.
    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// Leaves new connections to others; answers for how long those that have begun may still come.
    pub(super) fn turn_away(&self) -> Duration {
        if !self.shared {
            return Duration::ZERO; // nobody else would take them
        }
        if let Err(error) = turn_away(&self.accepts) {
            tracing::warn!(error = %error, "connections that come in this moment may be lost");
        }
        HANDSHAKE
    }
}

/// Drops what asks for a new connection (SYN without ACK), and lets all else through.
#[cfg(target_os = "linux")]
fn turn_away(listener: &TcpListener) -> io::Result<()> {
    use socket2::SockFilter;
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const FLAGS: u32 = 13; // of the TCP header
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let only_syn = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    socket2::SockRef::from(listener).attach_filter(&only_syn)
}

/// Elsewhere the newest listener of a port gets all new connections: the one that takes over.
#[cfg(not(target_os = "linux"))]
fn turn_away(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

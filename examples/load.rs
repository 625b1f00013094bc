//! Sends requests to an app, each on a new connection, and prints how many failed: the load of examples/try.
//!
//! Arguments: HOST PORT SECONDS. Two hundred requests leave every second, whether earlier ones were answered or not.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [host, port, seconds] = &arguments[..] else { panic!("usage: load HOST PORT SECONDS") };
    let address = (host.as_str(), number(port)).to_socket_addrs()?.next().expect("HOST has an address");
    let duration = Duration::from_secs(number(seconds).into());
    println!("load: requests to {address} for {seconds} s");

    let began = Instant::now();
    let mut requests = Vec::new();
    let mut leaves = Duration::ZERO;
    while leaves < duration {
        thread::sleep(leaves.saturating_sub(began.elapsed()));
        requests.push(thread::spawn(move || request(address)));
        leaves += PERIOD;
    }
    let all = requests.len();
    let failures: Vec<io::Error> =
        requests.into_iter().filter_map(|request| request.join().expect("it does not panic").err()).collect();
    if let Some(failure) = failures.first() {
        println!("load: the first failure: {failure}");
    }
    println!("{} of {all} failed", failures.len());
    Ok(())
}

fn number(argument: &str) -> u16 {
    argument.parse().unwrap_or_else(|_| panic!("{argument}: not a number"))
}

/// Asks for `/`. Errors: no connection, no answer within [`TIMEOUT`], or an answer other than 200.
fn request(address: SocketAddr) -> io::Result<()> {
    let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.write_all(b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(io::Error::other(format!("the answer was {answer:?}"))),
    }
}

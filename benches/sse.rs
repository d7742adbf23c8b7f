//! The decoder side by side with the crates it could have been: `cargo bench --bench sse`.
//!
//! Input 1 is what a chat server sends: 20 000 short events, read in 16 KiB chunks. Input 2 is
//! one line of 5 MiB in the same chunks, where a parser that starts again with every chunk is
//! quadratic. The program fails if the decoder is slower than bare `eventsource-stream` on the
//! first or takes over ten times the time of `sse-stream` on the second.
#![allow(clippy::print_stdout)] // A bench has no report; its figures are its output.

use std::convert::Infallible;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chatctl::stream::sse::{Decoder, Item};
use eventsource_stream::EventStream;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use sse_stream::SseByteStream;

const CHUNK: usize = 16 * 1024;
const EVENTS: usize = 20_000;
const LONG_LINE: usize = 5 * 1024 * 1024;
const ROUNDS: usize = 31;

fn main() -> ExitCode {
    let many = compare("20 000 events", &many_events(), EVENTS, ROUNDS);
    let long = compare("one 5 MiB line", &long_line(), 1, 1);
    let slower = many.ours / many.bare;
    let longer = long.ours / long.sse_stream;
    if slower > 1.0 || longer > 10.0 {
        println!("FAILED: wanted at most 1.00 x bare on input 1 and 10.00 x sse-stream on input 2");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn many_events() -> Vec<u8> {
    let mut body = String::new();
    for n in 0..EVENTS {
        body.push_str(&format!(
            "data: {{\"id\":\"chatcmpl-7\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" tok{n}\"}}}}]}}\n\n"
        ));
    }
    body.into_bytes()
}

fn long_line() -> Vec<u8> {
    let mut body = b"data: ".to_vec();
    body.resize(LONG_LINE, b'x');
    body.extend_from_slice(b"\n\n");
    body
}

/// Median seconds.
struct Medians {
    ours: f64,
    bare: f64,
    sse_stream: f64,
}

/// The three decoders take turns, so that a busy machine slows all of them alike. Bare
/// `eventsource-stream` has its own number of rounds, since it takes seconds on the long line.
fn compare(name: &str, body: &[u8], events: usize, bare_rounds: usize) -> Medians {
    let chunks: Vec<Bytes> = body.chunks(CHUNK).map(Bytes::copy_from_slice).collect();
    let mut times = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        times[0].push(time(events, || ours(&chunks)));
        times[1].push(time(events, || sse_stream(&chunks)));
        if round < bare_rounds {
            times[2].push(time(events, || bare(&chunks)));
        }
    }
    let [ours, sse_stream, bare] = times.map(median);
    println!("{name} in chunks of {} KiB", CHUNK / 1024);
    for (decoder, seconds) in [
        ("chatctl", ours),
        ("eventsource-stream, bare", bare),
        ("sse-stream", sse_stream),
    ] {
        println!(
            "  {decoder:<25} {:>10.2} ms   {:>8.2} x bare   {:>8.2} x sse-stream",
            seconds * 1e3,
            seconds / bare,
            seconds / sse_stream
        );
    }
    Medians {
        ours,
        bare,
        sse_stream,
    }
}

fn time(events: usize, run: impl FnOnce() -> usize) -> f64 {
    let start = Instant::now();
    let seen = run();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(seen, events, "a decoder lost events");
    seconds
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn ours(chunks: &[Bytes]) -> usize {
    let mut decoder = Decoder::new();
    let mut events = 0;
    for chunk in chunks {
        let items = decoder
            .push(Duration::ZERO, chunk)
            .expect("no line over the limit");
        events += items
            .iter()
            .filter(|item| matches!(item, Item::Frame(_)))
            .count();
        black_box(items);
    }
    events
}

fn bare(chunks: &[Bytes]) -> usize {
    count(EventStream::new(source(chunks)))
}

fn sse_stream(chunks: &[Bytes]) -> usize {
    count(SseByteStream::new(source(chunks)))
}

fn source(chunks: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::iter(chunks.iter().cloned().map(Ok))
}

fn count(events: impl Stream) -> usize {
    events
        .map(|event| {
            black_box(event);
        })
        .count()
        .now_or_never()
        .expect("the source is never pending")
}

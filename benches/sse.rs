//! The decoder side by side with the crates it could have been: `cargo bench --bench sse`.
//!
//! Input 1 is what a chat server sends: 20 000 short events, read in 16 KiB chunks. Input 2 is
//! one line of 5 MiB in the same chunks, where a parser that starts again with every chunk is
//! quadratic. The program fails if the decoder is slower than bare `eventsource-stream` on the
//! first or takes over ten times the time of `sse-stream` on the second.
//!
//! Then each profile reads 20 000 events of its own format, and one with a text of 5 MiB: from bytes to the
//! answer's text. It fails over twice the time that bare `eventsource-stream` takes for the same events.
#![allow(clippy::print_stdout)] // A bench has no report; its figures are its output.

use std::convert::Infallible;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chatctl::stream::body::{Body, Framing};
use chatctl::stream::profiles::{self, Profile};
use chatctl::stream::sse::{Decoder, Item};
use chatctl::stream::turn::Turn;
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
    let mut exit = ExitCode::SUCCESS;
    if slower > 1.0 || longer > 10.0 {
        println!("FAILED: wanted at most 1.00 x bare on input 1 and 10.00 x sse-stream on input 2");
        exit = ExitCode::FAILURE;
    }
    println!("profiles: {EVENTS} events, and one text of 5 MiB, as x bare");
    for profile in profiles::ALL {
        let [many, long] = read_by(profile, long.bare);
        println!("  {:<25} {many:>8.2} {long:>8.2}", profile.name);
        if many > MOST || long > MOST {
            println!("FAILED: wanted at most {MOST:.2} x bare");
            exit = ExitCode::FAILURE;
        }
    }
    exit
}

/// How many times as long as bare `eventsource-stream` a profile may take.
const MOST: f64 = 2.0;

/// How many times as long as bare `eventsource-stream` a profile takes for many events, and for a long one, for
/// which that takes so many seconds.
fn read_by(profile: &Profile, bare_long: f64) -> [f64; 2] {
    let pieces: Vec<_> = (0..EVENTS).map(|number| format!(" tok{number}")).collect();
    let events: Vec<_> = pieces
        .iter()
        .enumerate()
        .map(|(number, piece)| event(profile, number, piece))
        .collect();
    let chunks = arriving(profile, &events);
    let as_sse = arriving_as_sse(profile, &events);
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        times[0].push(time(EVENTS, || texts(profile, &chunks, &pieces)));
        times[1].push(time(EVENTS, || bare(&as_sse)));
    }
    let [many, bare_many] = times.map(median);
    let piece = "x".repeat(LONG_LINE);
    let long = arriving(profile, &[event(profile, 0, &piece)]);
    let pieces = [piece];
    let times = (0..ROUNDS).map(|_| time(1, || texts(profile, &long, &pieces)));
    [many / bare_many, median(times.collect()) / bare_long]
}

/// Events as they come: a message of a WebSocket, or a piece of bare text, at a time, everything else in chunks.
fn arriving(profile: &Profile, events: &[String]) -> Vec<Bytes> {
    let framing = profile.framing();
    if framing.needs_a_socket() || matches!(framing, Framing::Bare) {
        let messages = events.iter().map(|event| event.as_bytes());
        return messages.map(Bytes::copy_from_slice).collect();
    }
    let body = events.concat();
    body.as_bytes()
        .chunks(CHUNK)
        .map(Bytes::copy_from_slice)
        .collect()
}

/// The same events as server-sent ones.
fn arriving_as_sse(profile: &Profile, events: &[String]) -> Vec<Bytes> {
    let body = match profile.framing() {
        Framing::Sse => events.concat(),
        _ => events
            .iter()
            .map(|event| format!("data: {}\n\n", event.trim_end().replace('\n', " ")))
            .collect(),
    };
    body.as_bytes()
        .chunks(CHUNK)
        .map(Bytes::copy_from_slice)
        .collect()
}

/// How many events a profile read a text in.
fn texts(profile: &Profile, chunks: &[Bytes], pieces: &[String]) -> usize {
    let mut reader = profile.start(profile.marker());
    let mut decoder = Body::new(&profile.framing());
    let mut turn = Turn::default();
    let mut events = 0;
    for chunk in chunks {
        for item in decoder
            .push(Duration::ZERO, chunk)
            .expect("no line over the limit")
        {
            events += usize::from(matches!(item, Item::Frame(_)));
            turn.take(&item, reader.as_mut());
        }
    }
    for item in decoder
        .finish(Duration::ZERO)
        .expect("no line over the limit")
    {
        events += usize::from(matches!(item, Item::Frame(_)));
        turn.take(&item, reader.as_mut());
    }
    // MCP's only text is its final event, which comes once.
    let last = if profile.name == "mcp" {
        pieces.first()
    } else {
        pieces.last()
    };
    let last = last.expect("there is a piece");
    assert!(
        turn.text.contains(last.as_str()),
        "{} lost text",
        profile.name
    );
    events
}

/// An event of a profile's fixture, with this piece of text in it.
fn event(profile: &Profile, number: usize, piece: &str) -> String {
    let file = format!(
        "{}/fixtures/profiles/{}.normal.txt",
        env!("CARGO_MANIFEST_DIR"),
        profile.name
    );
    let all = std::fs::read_to_string(file).unwrap_or_else(|_| match profile.name {
        "openai-chat" => {
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"buy\"}}]}\n\n".to_owned()
        }
        _ => "data: buy\n\n".to_owned(),
    });
    let end = match profile.framing() {
        Framing::Sse | Framing::JsonBlocks => "\n\n".to_owned(),
        Framing::Delimited(delimiter) => delimiter.to_string(),
        Framing::Ndjson
        | Framing::JsonSeq
        | Framing::PrefixLines
        | Framing::Messages
        | Framing::SocketIo => "\n".to_owned(),
        Framing::Bare => return piece.to_owned(),
    };
    let event = all.split(&end).find(|event| event.contains("buy"));
    let event = event
        .expect("each fixture says it")
        .replacen("buy", piece, 1);
    let numbered = renumbered(&event, number);
    if profile.framing().needs_a_socket() {
        numbered
    } else {
        numbered + &end
    }
}

/// The event with this number, where its format counts events.
fn renumbered(event: &str, number: usize) -> String {
    const KEY: &str = "\"sequence_number\":";
    let Some((before, after)) = event.split_once(KEY) else {
        return event.to_owned();
    };
    let after = after
        .trim_start()
        .trim_start_matches(|digit: char| digit.is_ascii_digit());
    format!("{before}{KEY}{number}{after}")
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

//! A small program that treats receipts as a service would: worker threads parse, check and store them.
//!
//! It exists to be profiled. What a reader of its profiles should find:
//! - CPU: `keccak_like` under `Receipt::digest`, most of all instructions;
//! - growth: `Store::already_seen` looks through a list, so each receipt costs more than the one before;
//! - memory: `Store::remember` keeps the bytes of each receipt, and nothing frees them;
//! - system calls: each receipt is written to a file, each batch is synced.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::{mpsc, Arc, Mutex};
use std::thread;

struct Receipt {
    nonce: u64,
    sender: u32,
    value: u128,
}

impl Receipt {
    fn header(&self) -> String {
        format!("{{\"nonce\":{},\"sender\":{},\"value\":\"{}\"}}", self.nonce, self.sender, self.value)
    }

    fn parse(text: &str) -> Option<Receipt> {
        let mut fields = text.trim_matches(|c| c == '{' || c == '}').split(',').map(|pair| {
            pair.split_once(':').map(|(_, value)| value.trim_matches('"'))
        });
        Some(Receipt {
            nonce: fields.next()??.parse().ok()?,
            sender: fields.next()??.parse().ok()?,
            value: fields.next()??.parse().ok()?,
        })
    }

    #[inline(never)]
    fn digest(&self, text: &str) -> [u64; 4] {
        let mut state = [self.nonce, u64::from(self.sender), self.value as u64, text.len() as u64];
        for chunk in text.as_bytes().chunks(8) {
            let mut word = 0u64;
            for byte in chunk {
                word = word << 8 | u64::from(*byte);
            }
            state[0] ^= word;
            keccak_like(&mut state, 24);
        }
        state
    }
}

#[inline(never)]
fn keccak_like(state: &mut [u64; 4], rounds: u32) {
    for round in 0..rounds {
        state[0] = state[0].wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ state[3].rotate_left(round + 1);
        state[1] = state[1].wrapping_add(state[0]).rotate_left(13);
        state[2] ^= state[1] >> 7;
        state[3] = state[3].wrapping_add(state[2] ^ u64::from(round));
    }
}

/// Proof of a receipt in a tree of receipts: recursion, as deep as the nonce has bits.
#[inline(never)]
fn prove(digest: [u64; 4], depth: u32) -> u64 {
    if depth == 0 {
        return digest[0];
    }
    let mut state = digest;
    keccak_like(&mut state, 4);
    prove(state, depth - 1) ^ digest[1]
}

#[derive(Default)]
struct Store {
    seen: Vec<u64>,
    kept: HashMap<u64, Vec<u8>>,
    fees: HashMap<u32, u128>,
}

impl Store {
    #[inline(never)]
    fn already_seen(&self, nonce: u64) -> bool {
        self.seen.iter().any(|known| std::hint::black_box(*known) == nonce)
    }

    #[inline(never)]
    fn remember(&mut self, receipt: &Receipt, text: &str) {
        self.seen.push(receipt.nonce);
        self.kept.insert(receipt.nonce, text.as_bytes().repeat(4));
        *self.fees.entry(receipt.sender).or_default() += receipt.value;
    }
}

fn work(inbox: Arc<Mutex<mpsc::Receiver<String>>>, store: Arc<Mutex<Store>>, path: String) -> u64 {
    let mut file = File::create(path).expect("a file beside the program");
    let mut proof = 0;
    loop {
        let text = match inbox.lock().expect("inbox").recv() {
            Ok(text) => text,
            Err(_) => return proof,
        };
        let Some(receipt) = Receipt::parse(&text) else { continue };
        let digest = receipt.digest(&text);
        proof ^= prove(digest, 16);
        let mut store = store.lock().expect("store");
        if store.already_seen(receipt.nonce) {
            continue;
        }
        store.remember(&receipt, &text);
        drop(store);
        file.write_all(text.as_bytes()).expect("written");
        if receipt.nonce % 64 == 0 {
            file.sync_data().expect("synced");
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let receipts: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(600);
    let folder = arguments.next().unwrap_or_else(|| ".".to_string());

    #[cfg(feature = "sampling")]
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(150)
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build()
        .expect("a profiler");

    let (send, receive) = mpsc::channel();
    let inbox = Arc::new(Mutex::new(receive));
    let store = Arc::new(Mutex::new(Store::default()));
    let workers: Vec<_> = (0..2)
        .map(|number| {
            let (inbox, store) = (inbox.clone(), store.clone());
            let path = format!("{folder}/receipts-{number}.log");
            thread::Builder::new()
                .name(format!("receipt-worker-{number}"))
                .spawn(move || work(inbox, store, path))
                .expect("a thread")
        })
        .collect();

    for nonce in 0..receipts {
        let receipt = Receipt { nonce, sender: (nonce % 7) as u32, value: 1_000_000_000_000_000 };
        send.send(receipt.header()).expect("a worker");
        #[cfg(feature = "sampling")]
        if (nonce + 1) % (receipts / 3) == 0 {
            while Arc::strong_count(&inbox) > 1 && store.lock().expect("store").seen.len() as u64 <= nonce {
                thread::yield_now();
            }
            report(&guard, (nonce + 1) / (receipts / 3), &folder);
        }
    }
    drop(send);
    let proof = workers.into_iter().fold(0, |proof, worker| proof ^ worker.join().expect("a proof"));
    println!("{} receipts kept, proof {proof:x}", store.lock().expect("store").kept.len());
}

/// Writes one pair of files as the services do: a report holds everything since the start.
#[cfg(feature = "sampling")]
fn report(guard: &pprof::ProfilerGuard<'_>, number: u64, folder: &str) {
    use pprof::protos::Message;

    let report = guard.report().build().expect("a report");
    let profile = report.pprof().expect("a profile").write_to_bytes().expect("bytes");
    std::fs::write(format!("{folder}/demo-profile-{number}.pb"), profile).expect("written");
    let svg = File::create(format!("{folder}/demo-flamegraph-{number}.svg")).expect("created");
    report.flamegraph(svg).expect("written");
}

//! A server of several processes, and one whose way to its database leads through `chatctl gate`:
//! its worker saves what its web process streams.

use crate::common::servers::{Postgres, run_sql, texts};
use crate::common::{case, chatctl, python, report, root, text};
use chatctl::gate::{
    Carries, CommitGate as _, CommitOutcome, ControlAddress, Hold, Order, RemoteProxy, Withheld,
};
use chatctl::http::Reserved;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to be ready.
const START: Duration = Duration::from_secs(30);

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `chatctl gate`, and the address that it says.
struct Gate {
    process: Running,
    address: String,
    control: PathBuf,
}

impl Gate {
    fn start(folder: &Path, url: &str, arguments: &[&str]) -> Self {
        let control = folder.join("gate.sock");
        let anywhere = ["--listen", "127.0.0.1:0"];
        let mut child = chatctl()
            .args(["gate", "--database-url", url])
            .args(if arguments.contains(&"--listen") {
                &[][..]
            } else {
                &anywhere
            })
            .arg("--control")
            .arg(&control)
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut lines = String::new();
        // The last thing that it says when it starts.
        while !lines.contains("--gate-control") {
            assert!(said.read_line(&mut lines).unwrap() > 0, "{lines}");
        }
        // Whatever it says later must have a place to go.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        let (_, address) = lines.split_once("let the server connect to ").unwrap();
        let address = address.lines().next().unwrap().to_owned();
        Self {
            process: Running(child),
            address,
            control,
        }
    }

    /// The database's URL by its way.
    fn through(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        let (_, port) = self.address.rsplit_once(':').unwrap();
        url.set_port(port.parse().ok()).unwrap();
        url.to_string()
    }

    async fn controller(&self) -> RemoteProxy {
        let at = ControlAddress::parse(self.control.to_str().unwrap()).unwrap();
        RemoteProxy::connect(&at).await.unwrap()
    }
}

fn server(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(root().join("tests/servers/apart").join(name));
    command
}

fn until_accepts(port: u16) {
    let deadline = Instant::now() + START;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is withheld, once so many are.
async fn until(gate: &mut RemoteProxy, count: usize) -> Vec<Withheld> {
    let mut changes = gate.changes();
    let all = async {
        loop {
            changes.borrow_and_update();
            let withheld = gate.withheld().await.unwrap();
            if withheld.len() == count {
                return withheld;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(START, all).await.unwrap()
}

const HOLD: Hold<'_> = Hold {
    nonce: "nonce-1",
    order: Order::Arrival,
    patience: Duration::from_millis(300),
};

/// A thread that saves a row by this URL; it ends when the row is committed, or the connection is not.
fn save(url: String) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        run_sql(
            &url,
            "INSERT INTO message (content) VALUES ('the answer nonce-1')",
        );
    })
}

/// Where the server is somebody else's, its worker connects through a gate that verify-stream controls.
/// The same gate serves one run after the other.
#[test]
fn a_server_behind_a_gate_of_its_own() {
    let postgres = Postgres::start();
    let url = postgres.database("behind");
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::start(folder.path(), &url, &[]);
    let reserved = [(); 4].map(|()| Reserved::new().unwrap());
    let [worker, web, late, gateway] = reserved.each_ref().map(Reserved::port);
    let spawn = |command: &mut Command, port: u16| {
        let child = command
            .args(["--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn();
        let running = Running(child.unwrap());
        until_accepts(port);
        running
    };
    let _worker = spawn(
        server("worker.py").env("DATABASE_URL", gate.through(&url)),
        worker,
    );
    let web_of = |late: &[&str]| {
        let mut command = server("web.py");
        command
            .args(["--worker", &format!("http://127.0.0.1:{worker}")])
            .args(late)
            .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{gateway}/v1"));
        command
    };
    let _web = spawn(&mut web_of(&[]), web);
    let _late = spawn(&mut web_of(&["--late"]), late);
    for (port, verdict) in [(web, "proven"), (late, "violated")] {
        let (report, _) = report(
            chatctl()
                .args(["verify-stream", "--trials", "3", "--proof", "gate"])
                .args(["--database-url", &url])
                .arg("--gate-control")
                .arg(&gate.control)
                .args(["--gateway", &format!("127.0.0.1:{gateway}")])
                .args(["--server", &format!("http://127.0.0.1:{port}")]),
        );
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], verdict, "{report:#}");
    }
}

/// A gate obeys one controller, and opens when that one is gone.
#[test]
fn a_gate_obeys_one_controller_and_opens_without_it() {
    let postgres = Postgres::start();
    let url = postgres.database("controlled");
    run_sql(&url, "CREATE TABLE message (content text)");
    let rows = || texts(&url, "SELECT content FROM message").len();
    let folder = tempfile::tempdir().unwrap();
    let mut gate = Gate::start(folder.path(), &url, &[]);
    // Threads of its own: a test that waits for a save must not keep its controller from talking.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut controller = gate.controller().await;
        let at = ControlAddress::parse(gate.control.to_str().unwrap()).unwrap();
        let second = RemoteProxy::connect(&at).await.err().unwrap().to_string();
        assert!(second.contains("controlled by another chatctl"), "{second}");

        // Withheld, let through, its answer withheld, and given.
        controller.close(HOLD).await.unwrap();
        let saving = save(gate.through(&url));
        let withheld = until(&mut controller, 1).await;
        assert_eq!(withheld[0].carries, Carries::Answer);
        assert_eq!(rows(), 0);
        let passed = controller.pass(withheld[0].id).await.unwrap();
        assert_eq!(passed.outcome, CommitOutcome::Done);
        assert_eq!(rows(), 1);
        assert!(!saving.is_finished());
        let given = controller.answer(withheld[0].id).await.unwrap();
        saving.join().unwrap();
        assert!(
            withheld[0].since <= passed.let_through
                && passed.let_through <= passed.answered
                && passed.answered <= given
        );

        // A controller that is gone withholds nothing.
        let saving = save(gate.through(&url));
        until(&mut controller, 1).await;
        assert_eq!(rows(), 1);
        drop(controller);
        saving.join().unwrap();
        assert_eq!(rows(), 2);

        // Nor does one of another kind, and the gate obeys the next one.
        let mut raw = UnixStream::connect(&gate.control).unwrap();
        raw.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut said = String::new();
        BufReader::new(raw).read_to_string(&mut said).unwrap();
        assert!(said.starts_with(r#"{"ready":{"version":1,"#), "{said}");
        let mut controller = gate.controller().await;

        // With the gate, what is withheld is undone.
        controller.close(HOLD).await.unwrap();
        let saving = save(gate.through(&url));
        until(&mut controller, 1).await;
        kill(Pid::from_raw(gate.process.0.id() as i32), Signal::SIGKILL).unwrap();
        gate.process.0.wait().unwrap();
        assert!(saving.join().is_err());
        assert_eq!(rows(), 2);
        let lost = controller.open().await.err().unwrap().to_string();
        assert!(lost.contains("is gone"), "{lost}");
    });
    // The socket that the killed gate left is no obstacle.
    let again = Gate::start(folder.path(), &url, &[]);
    run_sql(&again.through(&url), "SELECT 1");
}

/// A controller that is stopped gives no sign of life: the gate opens after the longest hold.
#[test]
fn a_gate_opens_when_its_controller_is_stopped() {
    let postgres = Postgres::start();
    let url = postgres.database("stopped");
    run_sql(&url, "CREATE TABLE message (content text)");
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::start(folder.path(), &url, &["--max-hold", "300ms"]);
    // One that asks once and then says nothing more.
    let mut silent = UnixStream::connect(&gate.control).unwrap();
    silent
        .write_all(
            b"{\"number\":1,\"ask\":{\"arm\":{\"nonce\":\"nonce-1\",\"fault\":\"too-many-connections\",\"lasts\":\"until-opened\"}}}\n",
        )
        .unwrap();
    let mut said = BufReader::new(silent.try_clone().unwrap());
    let mut lines = String::new();
    while !lines.contains("\"answer\"") {
        assert!(said.read_line(&mut lines).unwrap() > 0, "{lines}");
    }
    // It closes the connection when it has opened.
    let mut rest = Vec::new();
    silent.set_read_timeout(Some(START)).unwrap();
    said.read_to_end(&mut rest).unwrap();
    save(gate.through(&url)).join().unwrap();
    assert_eq!(texts(&url, "SELECT content FROM message").len(), 1);
}

/// What other machines can reach is refused unless it is asked for.
#[test]
fn a_gate_stays_on_this_machine_unless_it_is_asked_for() {
    let url = "postgres://postgres@127.0.0.1:1/chat";
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gate.sock");
    let socket = socket.to_str().unwrap();
    for (arguments, code, says) in [
        (
            &["--listen", "0.0.0.0:0"][..],
            4,
            "`--listen 0.0.0.0:0` can be reached from other machines",
        ),
        (&["--control", "0.0.0.0:0"], 4, "withhold its commits"),
        (&["--listen", "5432"], 2, "is not an address with a port"),
        (&["--max-hold", "1ms"], 2, "at least 300ms"),
    ] {
        let output = chatctl()
            .args(["gate", "--database-url", url])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let (out, err) = text(&output);
        assert_eq!(output.status.code(), Some(code), "{out}{err}");
        assert!(err.contains(says), "{err}");
    }
    // Asked for, it listens, and ends in order.
    let mut gate = Gate::start(
        folder.path(),
        url,
        &["--listen", "0.0.0.0:0", "--allow-remote"],
    );
    kill(Pid::from_raw(gate.process.0.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(gate.process.0.wait().unwrap().code(), Some(130));
    assert!(!Path::new(socket).exists());
    // There is no gate any more, and no run without one.
    let output = chatctl()
        .args([
            "verify-stream",
            "--database-url",
            url,
            "--gate-control",
            socket,
        ])
        .args(["--server", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(3), "{out}{err}");
    assert!(err.contains("no gate is controlled at"), "{err}");
}

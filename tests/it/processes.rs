//! A server of several processes, and one whose way to its database leads through `chatctl gate`:
//! its worker saves what its web process streams.

use crate::common::servers::{Postgres, run_sql, texts};
use crate::common::{case, chatctl, python, report, root, text};
use chatctl::gate::{
    Carries, CommitGate as _, CommitOutcome, ControlAddress, Elsewhere, Hold, Order, RemoteProxy,
    Withheld,
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
    elsewhere: Elsewhere::Flows,
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

/// A service of the compose file.
struct Service {
    name: String,
    command: Vec<String>,
    environment: serde_json::Map<String, serde_json::Value>,
}

/// The services of the compose file that have a command, in order. Their commands and environments are
/// written as JSON.
fn services(text: &str) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if indent == 2 && line.ends_with(':') {
            services.push(Service {
                name: line.trim_end_matches(':').to_owned(),
                command: Vec::new(),
                environment: serde_json::Map::new(),
            });
        } else if let Some(json) = line.strip_prefix("command: ") {
            services.last_mut().unwrap().command = serde_json::from_str(json).unwrap();
        } else if let Some(json) = line.strip_prefix("environment: ") {
            services.last_mut().unwrap().environment = serde_json::from_str(json).unwrap();
        }
    }
    services.retain(|service| !service.command.is_empty());
    services
}

/// What the compose file starts, as plain processes: a server whose worker connects through `chatctl
/// gate`, in front of the database. The same gate serves one run after the other.
#[test]
fn the_compose_file_proves_the_order() {
    let postgres = Postgres::start();
    let url = postgres.database("composed");
    let (_, database) = url.rsplit_once('@').unwrap();
    let (database, _) = database.split_once('/').unwrap();
    let folder = tempfile::tempdir().unwrap();
    let reserved = [(); 4].map(|()| Reserved::new().unwrap());
    let [gate, worker, web, gateway] = reserved.each_ref().map(|it| it.port().to_string());
    let here = |text: &str| {
        let whole = [("9000", &worker), ("8000", &web)];
        if let Some((_, port)) = whole.iter().find(|(port, _)| *port == text) {
            return (*port).clone();
        }
        let local = |port: &str| format!("127.0.0.1:{port}");
        [
            ("@db/chat", format!("@{database}/composed")),
            ("0.0.0.0:5432", local(&gate)),
            ("@gate/chat", format!("@{}/composed", local(&gate))),
            ("/run/chatctl", folder.path().display().to_string()),
            ("worker:9000", local(&worker)),
            ("web:8000", local(&web)),
            ("verify:9191", local(&gateway)),
            ("0.0.0.0:9191", local(&gateway)),
            ("0.0.0.0", "127.0.0.1".to_owned()),
        ]
        .iter()
        .fold(text.to_owned(), |text, (there, here)| {
            text.replace(there, here)
        })
    };
    let command = |service: &Service| {
        let mut words = service.command.iter().map(|word| here(word));
        let mut command = match service.name.as_str() {
            "gate" | "verify" => chatctl(),
            _ => {
                assert_eq!(words.next().as_deref(), Some("python"));
                let program = words.next().unwrap();
                let mut python = Command::new(python());
                python.arg(root().join("tests/servers/apart").join(program));
                python
            }
        };
        command.args(words);
        let environment = service.environment.iter();
        command.envs(environment.map(|(name, value)| (name, here(value.as_str().unwrap()))));
        command
    };
    let spawn = |service: &Service, more: &[&str]| {
        let mut command = command(service);
        let child = command
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Running(child.unwrap())
    };
    let text = std::fs::read_to_string(root().join("docs/compose/compose.yaml")).unwrap();
    let all = services(&text);
    let names: Vec<_> = all.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["gate", "worker", "web", "verify"]);
    let _gate = spawn(&all[0], &[]);
    until_accepts(gate.parse().unwrap());
    let _worker = spawn(&all[1], &[]);
    until_accepts(worker.parse().unwrap());
    for (more, verdict, exit) in [(&[][..], "proven", 0), (&["--late"], "violated", 1)] {
        let _web = spawn(&all[2], more);
        until_accepts(web.parse().unwrap());
        let mut verify = command(&all[3]);
        let (report, code) = report(verify.args(["--trials", "3", "--proof", "gate"]));
        let order = case(&report, "/order");
        assert_eq!(
            (order["verdict"].as_str(), code),
            (Some(verdict), exit),
            "{report:#}"
        );
    }
}

/// The documented entries start both processes; the server's worker saves.
#[test]
fn processes_that_are_started_together_are_proven_together() {
    let postgres = Postgres::start();
    let page = std::fs::read_to_string(root().join("docs/processes.md")).unwrap();
    let (_, entries) = page.split_once("```toml\n").unwrap();
    let (entries, _) = entries.split_once("```").unwrap();
    let servers = root().join("tests/servers/apart");
    let entries = entries.replace(
        "\"python ",
        &format!("\"{} {}/", python().display(), servers.display()),
    );
    let late = entries.replace("web.py", "web.py --late");
    let run = |entries: &str, verdict: &str| {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("chatctl.toml");
        std::fs::write(&config, entries).unwrap();
        let output = chatctl()
            .args([
                "verify-stream",
                "--trials",
                "3",
                "--proof",
                "gate",
                "--format",
                "json",
            ])
            .args(["--database-url", &postgres.database(verdict)])
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap();
        let (out, err) = text(&output);
        let report: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
        assert_eq!(case(&report, "/order")["verdict"], verdict, "{report:#}");
        for part in [
            "the process `worker` gets",
            "the process `web` gets",
            "gate proxy",
        ] {
            assert!(err.contains(part), "{part} is not in {err}");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| run(&entries, "proven"));
        scope.spawn(|| run(&late, "violated"));
    });
}

/// A worker that saves past the gate while the web process commits something else, which the marker waits
/// for: that commit is not credited with the answer.
#[test]
fn a_worker_past_the_gate_proves_nothing() {
    let postgres = Postgres::start();
    let servers = root().join("tests/servers/apart");
    let run = |name: &str, past: bool| {
        let url = postgres.database(name);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("chatctl.toml");
        let python = |words: &str| {
            format!(
                "command = \"{} {}/{words}\"",
                python().display(),
                servers.display()
            )
        };
        let way = if past {
            format!("environment = {{ DATABASE_URL = \"{url}\" }}\n")
        } else {
            String::new()
        };
        let entries = format!(
            "[[start]]\nname = \"worker\"\nready = \"line:worker: ready\"\n{way}{}\n\n\
             [[start]]\nname = \"web\"\nready = \"/health\"\ntested = true\n{}\n",
            python("worker.py --port {port}"),
            python("web.py --port {port} --worker http://127.0.0.1:{port:worker} --late --visits"),
        );
        std::fs::write(&config, entries).unwrap();
        let mut verify = chatctl();
        verify
            .args(["verify-stream", "--trials", "3", "--proof", "gate"])
            .args(["--database-url", &url, "--config"])
            .arg(&config);
        report(&mut verify)
    };
    let (around, exit) = run("past", true);
    let order = case(&around, "/order");
    assert_eq!(
        (&order["verdict"], exit),
        (&"inconclusive".into(), 3),
        "{around:#}"
    );
    assert!(
        order["reason"].as_str().unwrap().contains("past this gate"),
        "{order:#}"
    );
    let (through, exit) = run("through", false);
    let order = case(&through, "/order");
    assert_eq!(
        (&order["verdict"], exit),
        (&"violated".into(), 1),
        "{through:#}"
    );
}

/// Who was started last is ended first, also where one of them does not start. Its output is told with its
/// name, and a wrong entry with its place.
#[test]
fn processes_end_in_order_and_say_who_failed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("chatctl.toml");
    let verify = |entries: &str| {
        std::fs::write(&config, entries).unwrap();
        let output = chatctl()
            .args(["verify-stream", "--database-url", "sqlite:chat.db"])
            .arg("--config")
            .arg(&config)
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code(), text(&output).1)
    };
    let waits = |name: &str| {
        format!(
            "[[start]]\nname = '{name}'\nready = 'line:up'\ncommand = \"\"\"sh -c 'trap \"echo {name} >> ended; exit 0\" \
             TERM; echo up; while :; do sleep 0.05; done'\"\"\"\n"
        )
    };
    let fails = "[[start]]\nname = 'web'\ncommand = \"sh -c 'echo no database; exit 1' {port}\"\n";
    let (code, said) = verify(&format!("{}{}{fails}", waits("queue"), waits("worker")));
    assert_eq!(code, Some(3), "{said}");
    for part in [
        "the process `web` ended before it was ready",
        "web: no database",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let ended = std::fs::read_to_string(folder.path().join("ended")).unwrap();
    assert_eq!(ended, "worker\nqueue\n");

    let (code, said) = verify("[[start]]\nname = 'web'\ncomand = 'x {port}'\n");
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "chatctl.toml:3:1: unknown key `comand`",
        "did you mean `command`?",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
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

        // Withheld, let through, its reply withheld, and released.
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
        assert!(said.starts_with(r#"{"ready":{"version":2,"#), "{said}");
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
    assert!(err.contains("no gate can be reached at"), "{err}");
}

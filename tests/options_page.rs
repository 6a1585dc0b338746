//! docs/OPTIONS.md is what the option table says. `FOREBAY_BLESS=1 cargo test --test options_page` writes it anew.

use std::fmt::Write;
use std::path::Path;

use forebay::api::options::{Family, Kind, options};

const HEAD: &str = "\
# Options

Made from the one table in `src/api/options/table.rs`; `FOREBAY_BLESS=1 cargo test --test options_page` writes this page.

An option has a key, `family.name`, and is given in one of three ways; the first that says something counts:

1. in the call: `forebay_options_set(options, \"client.window_jobs\", \"500\", &err)`, or from a TOML file by
   `forebay_options_load`, in which each family is a table. What is set or loaded later replaces what was before;
2. in the environment: `FOREBAY_CLIENT_WINDOW_JOBS=500`. An empty variable says nothing;
3. the default.

Opening a handle reads the keys of its own family and leaves the others alone, so one object or one file can serve a
whole program. An unknown key is an error that names the nearest one, a wrong value an error that says what would be
right. Every call that takes options reads them once; nothing is looked up by name on the way of a job.

Times may carry a unit (`1500`, `1500ms`, `30s`, `5m`, `2h`, `1d`), bytes too (`65536`, `64Ki`, `8Mi`, `1Gi`; `k`, `M`,
`G` are powers of ten). Switches are `true` or `false`. A file:

```toml
[client]
name = \"web-3\"
window_bytes = \"128Mi\"

[job]
run_ms = \"10m\"
header.lang = \"de\"

[broker]
listen = [\"ipc:///run/forebay/broker.sock\", \"tcp://[::1]:7711\"]
insecure = true
```

Two variables stand outside the table: `FOREBAY_BROKER`, the endpoint used where a program names none, and
`FOREBAY_LOG`, the levels of the log (`info`, or `warn,broker=debug,client=off`).
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for family in Family::ALL {
        write!(page, "\n## {}\n\n{}\n", family.name(), family.text()).unwrap();
        page.push_str("\n| key | values | default | what it does |\n|---|---|---|---|\n");
        for info in options().iter().filter(|info| info.family == family) {
            let default = match info.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let values = info.kind.to_string().replace('|', "\\|");
            writeln!(page, "| `{}` | {values} | {default} | {} |", info.key, info.text).unwrap();
        }
    }
    page
}

#[test]
fn the_options_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPTIONS.md");
    let page = page();
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/OPTIONS.md differs from the table; FOREBAY_BLESS=1 cargo test --test options_page"
    );
}

#[test]
fn the_file_on_the_page_can_be_loaded() {
    let toml = HEAD.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut options = forebay::api::Options::new();
    options.load_text(toml, "page").unwrap();
    assert_eq!(options.client_settings().unwrap().window_bytes, 128 << 20);
    assert!(options.broker_settings().unwrap().insecure);
}

#[test]
fn a_header_is_the_only_row_with_a_placeholder() {
    for info in options() {
        assert_eq!(info.kind == Kind::Header, info.key.contains("NAME"), "{}", info.key);
    }
}

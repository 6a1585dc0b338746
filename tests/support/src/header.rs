//! include/forebay.h as text: how its functions are read from it.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the folder of the package")
});

/// The folder of the package.
pub fn root() -> &'static Path {
    &ROOT
}

/// One function of the header.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its comment.
    pub text: String,
    /// Its declaration on one line.
    pub declaration: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its type, stars included.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Function {
    /// The parameters that are pointers, functions included.
    pub fn pointers(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(|parameter| parameter.kind.contains('*') || parameter.kind == "forebay_log_fn")
    }

    /// Whether the function's text says that this parameter may be NULL.
    pub fn may_be_null(&self, name: &str) -> bool {
        let quoted = format!("`{name}`");
        self.text.split(". ").any(|sentence| {
            sentence.contains(&quoted)
                && (sentence.contains("may be NULL") || sentence.contains("of NULL is nothing"))
        })
    }

    /// Whether it takes a structure by value.
    pub fn takes_struct_by_value(&self) -> bool {
        self.parameters.iter().any(|parameter| {
            !parameter.kind.contains('*')
                && parameter.kind.contains("forebay_")
                && !["forebay_status_t", "forebay_log_fn"].contains(&parameter.kind.as_str())
        })
    }
}

/// The header without comments.
pub fn without_comments(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code + rest
}

/// The functions of the header.
pub fn functions(header: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in header.match_indices("\nFOREBAY_API") {
        let declaration = &header[at + 1..];
        let declaration = &declaration[..declaration.find(';').unwrap()];
        let declaration = declaration.split_whitespace().collect::<Vec<_>>().join(" ");
        let (head, tail) = declaration.split_once('(').unwrap();
        let name = head.rsplit([' ', '*']).next().unwrap().to_owned();
        let parameters = tail.trim_end_matches(')').split(',').map(str::trim).filter(|text| *text != "void");
        let parameters = parameters.map(|text| {
            let split = text.rfind([' ', '*']).unwrap() + 1;
            Parameter { kind: text[..split].trim().to_owned(), name: text[split..].to_owned() }
        });
        let before = header[..at].trim_end();
        let text = match before.strip_suffix("*/") {
            Some(before) => before[before.rfind("/**").unwrap() + 3..].replace("\n *", " "),
            None => String::new(),
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ") + " ";
        found.push(Function {
            name,
            text,
            parameters: parameters.collect(),
            declaration: declaration.clone(),
        });
    }
    found
}

//! `forebay new-plugin`: a folder with a plugin that builds.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::{Exit, Failed};
use crate::cli::{prefix, show};

/// Writes a plugin that builds: a folder with a source, and a Makefile that finds forebay.h where this program is installed.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  forebay new-plugin resize
  make -C resize
  forebay worker --load resize/libresize.so
The plugin greets whoever the payload names; the rest is up to you."
)]
pub(crate) struct NewPlugin {
    /// The folder to make; its last part is the plugin's name and its queue: letters, digits, `_` and `-`.
    name: PathBuf,
    /// In C++17 instead of C.
    #[arg(long)]
    cpp: bool,
}

impl NewPlugin {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let name = self.checked_name()?;
        let include = include()?;
        let fill = |template: &str| template.replace("@NAME@", name).replace("@INCLUDE@", &include);
        let (suffix, source, makefile) = match self.cpp {
            false => ("c", include_str!("plugin.c"), include_str!("c.mk")),
            true => ("cpp", include_str!("plugin.cpp"), include_str!("cpp.mk")),
        };
        fs::create_dir(&self.name).map_err(|error| Failed::file("make the folder", &self.name, &error))?;
        for (file, text) in [(format!("{name}.{suffix}"), source), ("Makefile".to_owned(), makefile)] {
            let path = self.name.join(file);
            fs::write(&path, fill(text)).map_err(|error| Failed::file("write", &path, &error))?;
        }
        let folder = self.name.display();
        show::line(format_args!(
            "{folder}/{name}.{suffix}; `make -C {folder}` builds {folder}/lib{name}.so"
        ))?;
        Ok(Exit::Done)
    }

    fn checked_name(&self) -> Result<&str, Failed> {
        let is_right = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = self.name.file_name().and_then(|name| name.to_str());
        name.filter(|name| !name.starts_with('-') && name.chars().all(is_right)).ok_or_else(|| {
            Failed::usage(format!(
                "\"{}\" is no name for a plugin; right would be letters, digits, `_` and `-`",
                self.name.display()
            ))
        })
    }
}

/// The folder of forebay.h as a line of a Makefile has it.
fn include() -> Result<String, Failed> {
    let root = prefix::installed().or_else(|| prefix::source().map(Path::to_owned));
    let include = root.map(|root| root.join("include")).ok_or_else(|| {
        Failed::new(
            Exit::System,
            "no forebay.h goes with this program; install the whole of forebay with `make install PREFIX=...`",
        )
    })?;
    Ok(include.to_string_lossy().replace('$', "$$").replace('#', "\\#"))
}

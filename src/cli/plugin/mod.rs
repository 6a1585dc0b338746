//! `forebay new-plugin` and `forebay plugin`: a plugin is written, and tried without a broker.

mod new;
mod test;

use clap::{Args, Subcommand};

use crate::cli::exit::{Exit, Failed};

pub(crate) use new::NewPlugin;

/// What concerns a plugin before it executes jobs.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Plugin {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Test(test::Test),
}

impl Plugin {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let Action::Test(test) = self.action;
        test.run()
    }
}

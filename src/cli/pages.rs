//! `tudb completions` and `tudb man`: what a shell and `man` need, generated from the command line itself.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::{DONE, NO, complain, say};

/// Arguments of `tudb completions`.
#[derive(Args)]
#[command(after_help = "Example: tudb completions bash > ~/.local/share/bash-completion/completions/tudb")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, mut command: Command) -> u8 {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "tudb", &mut text);
        say(String::from_utf8_lossy(&text).trim_end());
        DONE
    }
}

/// Arguments of `tudb man`.
#[derive(Args)]
#[command(after_help = "Example: tudb man ~/.local/share/man/man1")]
pub(super) struct Man {
    /// The directory for the pages of all commands; without it, the page of `tudb` is printed
    directory: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self, command: Command) -> u8 {
        let written = match &self.directory {
            Some(directory) => std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(command, directory))
                .map_err(|error| format!("The manual pages cannot be written to {}: {error}.", directory.display())),
            None => {
                let mut page = Vec::new();
                let rendered = clap_mangen::Man::new(command).render(&mut page);
                say(String::from_utf8_lossy(&page).trim_end());
                rendered.map_err(|error| error.to_string())
            }
        };
        match written {
            Ok(()) => DONE,
            Err(message) => {
                complain(&message);
                NO
            }
        }
    }
}

//! `tudb migrate URL` and `tudb seed URL`: write the sample's schema and data to a database of the user.

use clap::Args;

use super::{DONE, NO, complain, confirmed, say};
use crate::config::{Config, SourceConfig};
use crate::database::bootstrap::{self, BootstrapError, Done};
use crate::secret::Secret;

/// Where to write.
#[derive(Args)]
pub(super) struct Place {
    /// postgres://… or sqlite://…
    url: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Place {
    pub(super) async fn migrate(self, config: &Config) -> u8 {
        let source = self.source(config);
        if !confirmed(&format!("Create the sample's tables in {}?", bootstrap::where_to(&source)), self.yes) {
            return NO;
        }
        report(
            bootstrap::migrate(&source).await,
            "the schema is there",
            "the schema was there already; nothing changed",
        )
    }

    pub(super) async fn seed(self, config: &Config) -> u8 {
        let source = self.source(config);
        if !confirmed(&format!("Load the sample's rows into {}?", bootstrap::where_to(&source)), self.yes) {
            return NO;
        }
        let result = bootstrap::seed(&source).await;
        if result.is_err() {
            complain("The schema has to be there first: tudb migrate URL");
        }
        report(result, "the data is loaded", "the data was there already; nothing changed")
    }

    fn source(&self, config: &Config) -> SourceConfig {
        let mut source = SourceConfig::new("target", Some(Secret::new(self.url.clone())), &config.limits);
        // The environment completes this URL as it completes a source's.
        source.pg_environment = config.sources.first().map(|first| first.pg_environment.clone()).unwrap_or_default();
        source
    }
}

fn report(result: Result<Done, BootstrapError>, changed: &str, already: &str) -> u8 {
    match result {
        Ok(Done::Changed) => {
            say(changed);
            DONE
        }
        Ok(Done::Already) => {
            say(already);
            DONE
        }
        Err(error) => {
            complain(&format!("nothing was changed: {error}"));
            NO
        }
    }
}

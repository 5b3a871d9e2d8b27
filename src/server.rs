//! The MCP face: who the server is, the five tools, and the one choke point that every call passes: panics become
//! results, progress is told when asked for, and a cancelled call reaches the database.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::ToolError;
use crate::gateway::Caller;
use crate::tools::{self, Core, Reply};

/// At least so often progress is told to a client that asked for it.
const PROGRESS_EVERY: Duration = Duration::from_secs(4);

/// The server behind the protocol. A broken configuration still serves: each call then says what is wrong.
#[derive(Clone)]
pub struct Server {
    core: Result<Arc<Core>, ToolError>,
    /// Cancelled when the client has gone.
    end: CancellationToken,
    tools: Arc<Vec<Tool>>,
}

impl Server {
    pub fn new(core: Result<Arc<Core>, ToolError>, end: CancellationToken) -> Self {
        let tools = Arc::new(tools::list(core.as_ref().ok().map(Arc::as_ref)));
        Server { core, end, tools }
    }

    async fn call(&self, request: CallToolRequestParams, context: RequestContext<RoleServer>) -> Option<Reply> {
        let core = match &self.core {
            Ok(core) => core,
            Err(error) => return Some(error.clone().into()),
        };
        let token = context.meta.get_progress_token();
        let (stage, mut stages) = watch::channel(String::from("starting"));
        let caller = Caller {
            client: context.client_info().map(|client| format!("{}/{}", client.name, client.version)),
            traceparent: context.meta.get_traceparent().map(str::to_owned),
            cancel: self.end.child_token(),
            deadline: None,
            question_id: None,
            stage: token.is_some().then_some(stage),
        };
        let arguments = request.arguments.unwrap_or_default();
        let work = AssertUnwindSafe(tools::call(core, &request.name, arguments, &caller)).catch_unwind();
        tokio::pin!(work);
        let mut told = 0.0;
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
        loop {
            tokio::select! {
                done = &mut work => {
                    return done.unwrap_or_else(|_| {
                        tracing::error!(tool = %request.name, "a tool panicked");
                        Some(ToolError::internal().into())
                    });
                }
                () = context.ct.cancelled(), if !caller.cancel.is_cancelled() => caller.cancel.cancel(),
                _ = ticks.tick(), if token.is_some() => {}
                Ok(()) = stages.changed(), if token.is_some() => {}
            }
            if let Some(token) = &token {
                told += 1.0;
                let message = stages.borrow_and_update().clone();
                let progress = ProgressNotificationParam::new(token.clone(), told).with_message(message);
                let _ = context.peer.notify_progress(progress).await;
            }
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let implementation = Implementation::new("tudb", env!("CARGO_PKG_VERSION")).with_title("Talk to Your Database");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(tools::instructions(self.core.as_ref().ok().map(Arc::as_ref)))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.as_ref().clone()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.clone();
        let Some(reply) = self.call(request, context).await else {
            let known = tools::NAMES.join(", ");
            return Err(ErrorData::invalid_params(format!("unknown tool {name:?}; the tools are {known}"), None));
        };
        // The transport writes this one text into both blocks.
        let content = vec![ContentBlock::text(reply.json)];
        let result = if reply.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
        Ok(result.into())
    }
}

//! The MCP server: its description, tools, resources and prompts. Tool calls, reads of resources and completions pass
//! through `Server::attend`, which turns panics into results, sends progress to clients that ask for it, and passes
//! cancellation on to the database.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::FutureExt;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult, CompletionInfo,
    ContentBlock, CustomRequest, CustomResult, ErrorCode, ErrorData, GetPromptRequestParams, GetPromptResponse,
    Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, ResourceContents, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audit::{Outcomes, keep_trace};
use crate::database::value::cut;
use crate::error::ToolError;
use crate::gateway::{Caller, Gateway, Grant};
use crate::limits::Limits;
use crate::places::{Places, TakenPlaces};
use crate::progress::with_progress;
use crate::reply::Reply;
use crate::tools::{self, Core, ToolName};
use crate::transport::Unread;
use crate::{elicitation, prompts, resources};

/// Time for which a client may cache the lists of tools, resources and prompts. They change only when the API keys are
/// read again.
const UNCHANGED_MS: u64 = 3_600_000;

/// The server. With a broken configuration it still runs, and each call returns what is wrong.
#[derive(Clone)]
pub struct Server {
    core: Result<Arc<Core>, ToolError>,
    /// Cancelled when running calls have to end: over stdio, when the client is gone.
    end: CancellationToken,
    tools: Arc<Vec<Tool>>,
    max_client_bytes: usize,
    transport: Transport,
}

/// What carries the messages.
#[derive(Clone, Debug)]
pub enum Transport {
    /// [`crate::transport`], which writes a tool's JSON both as the text block and as `structuredContent`.
    Stdio,
    /// The SDK's own, which sends a result as it is. `calls` has a place for each call that may run or wait.
    Http { calls: Arc<Places> },
}

/// Cancelled when the calls of an HTTP request have to end: its client has left, or has ended the session.
#[derive(Clone, Debug)]
pub struct CallsEnd(pub CancellationToken);

impl Server {
    pub fn new(core: Result<Arc<Core>, ToolError>, end: CancellationToken, transport: Transport) -> Self {
        let tools = Arc::new(tools::list(core.as_ref().ok().map(Arc::as_ref), None));
        let limits = core.as_ref().map_or_else(|_| Limits::default(), |core| core.gateway.config().limits.clone());
        Server { core, end, tools, max_client_bytes: limits.max_client_bytes, transport }
    }

    /// Runs work for a client: handles its cancellation, its progress and its panics. `None` after a panic.
    async fn attend<T>(
        &self,
        what: &str,
        context: &RequestContext<RoleServer>,
        work: impl AsyncFnOnce(&Caller) -> T,
    ) -> Option<T> {
        let token = context.meta.get_progress_token();
        let (stage, stages) = watch::channel(String::from("starting"));
        let client = context.client_info().map(|client| {
            let most = self.max_client_bytes;
            format!("{}/{}", cut(&client.name, most), cut(&client.version, most))
        });
        let grant = grant(context);
        let caller = Caller {
            client: match (&grant, client) {
                (Some(grant), Some(client)) => Some(format!("{} {client}", grant.key)),
                (Some(grant), None) => Some(grant.key.clone()),
                (None, client) => client,
            },
            grant,
            traceparent: context.meta.get_traceparent().and_then(keep_trace),
            cancel: parts(context)
                .and_then(|parts| parts.extensions.get())
                .map_or(&self.end, |CallsEnd(end)| end)
                .child_token(),
            deadline: None,
            question_id: None,
            outcomes: Outcomes::default(),
            stage: token.is_some().then_some(stage),
        };
        // Over stdio, a call begins only when the client has read enough of the earlier replies.
        let unread = context.extensions.get::<Arc<Unread>>().cloned();
        let mut work = pin!(caught(what, async {
            let _begun = match &unread {
                Some(unread) => tokio::select! {
                    permit = unread.begin() => permit,
                    () = caller.cancel.cancelled() => None,
                },
                None => None,
            };
            work(&caller).await
        }));
        let mut work = pin!(async {
            let Some(token) = token else { return work.await };
            with_progress(work.as_mut(), stages, &caller.cancel, |number, stage| {
                let progress = ProgressNotificationParam::new(token.clone(), number).with_message(stage);
                context.peer.notify_progress(progress)
            })
            .await
        });
        tokio::select! {
            done = &mut work => done,
            () = context.ct.cancelled() => {
                caller.cancel.cancel();
                work.await
            }
        }
    }

    async fn call(&self, request: CallToolRequestParams, context: &RequestContext<RoleServer>) -> Option<Reply> {
        let core = match &self.core {
            Ok(core) => core,
            Err(error) => return Some(error.clone().into()),
        };
        let arguments = request.arguments.unwrap_or_default();
        let _place = match self.place(context) {
            Ok(place) => place,
            Err(error) => return Some(error.into()),
        };
        let called = self
            .attend(&request.name, context, async |caller| {
                let reply = tools::call(core, &request.name, arguments, caller).await;
                let warning = caller.outcomes.written().await;
                reply.map(|reply| reply.with_warning(warning))
            })
            .await;
        called.unwrap_or_else(|| Some(ToolError::internal().into()))
    }

    /// Takes a place for one call. Over stdio, the transport bounds the calls.
    ///
    /// # Errors
    ///
    /// `busy` if too many calls run or wait.
    fn place(&self, context: &RequestContext<RoleServer>) -> Result<Option<TakenPlaces>, ToolError> {
        let Transport::Http { calls } = &self.transport else { return Ok(None) };
        let grant = grant(context);
        let place = calls.take(grant.as_ref().map(|grant| grant.key.as_str()), 1);
        place.map(Some).ok_or_else(ToolError::crowded)
    }

    /// Time limit for the user's answer to a clarification.
    fn patience(&self) -> Duration {
        let limits = self.core.as_ref().map(|core| core.gateway.config().limits.answer_timeout_ms);
        Duration::from_millis(limits.unwrap_or_default())
    }

    fn gateway(&self) -> Result<&Gateway, ToolError> {
        self.core.as_ref().map(|core| core.gateway.as_ref()).map_err(Clone::clone)
    }
}

/// What the API key or the token of an HTTP request allows. `None` without either, and over stdio.
fn grant(context: &RequestContext<RoleServer>) -> Option<Arc<Grant>> {
    parts(context)?.extensions.get().cloned()
}

/// The head of an HTTP request. `None` over stdio.
fn parts(context: &RequestContext<RoleServer>) -> Option<&http::request::Parts> {
    context.extensions.get()
}

/// Turns a panic into `None` and logs it.
pub(crate) fn caught<T>(what: &str, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
    let done = AssertUnwindSafe(work).catch_unwind();
    done.map(move |done| done.inspect_err(|_| tracing::error!(what, "a call panicked")).ok())
}

/// The protocol error for a failed read of a resource, with the requested URI.
fn protocol_error(error: &ToolError, uri: &str) -> ErrorData {
    let message = match &error.hint {
        Some(hint) => format!("{}: {}. {hint}", error.code.as_str(), error.message),
        None => format!("{}: {}", error.code.as_str(), error.message),
    };
    if resources::is_missing(error) {
        ErrorData::resource_not_found(message, Some(serde_json::json!({"uri": uri})))
    } else {
        ErrorData::internal_error(message, None)
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let implementation = Implementation::new("tudb", env!("CARGO_PKG_VERSION")).with_title("Talk to Your Database");
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .enable_completions()
            .build();
        ServerConfig::new(capabilities).with_server_info(implementation).with_instructions(tools::instructions(
            self.core.as_ref().ok().map(Arc::as_ref).filter(|core| {
                // The instructions name the default source, but a key may not allow it. So they name none if keys are
                // needed.
                matches!(self.transport, Transport::Stdio) || !core.gateway.config().http.needs_key()
            }),
        ))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = match grant(&context) {
            Some(grant) => tools::list(self.core.as_ref().ok().map(Arc::as_ref), Some(&grant)),
            None => self.tools.as_ref().clone(),
        };
        Ok(ListToolsResult::with_all_items(tools).with_ttl_ms(UNCHANGED_MS))
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.clone();
        let was_asked = elicitation::answered(&mut request);
        let mut reply = self.call(request.clone(), &context).await;
        let question = reply.as_mut().and_then(|reply| reply.asks_back.take()).filter(|_| !was_asked);
        if let Some(question) = question {
            match elicitation::way(&context) {
                None => {}
                Some(elicitation::Way::Result) => {
                    if let Some(result) = elicitation::input_required(&question) {
                        return Ok(result.into());
                    }
                }
                Some(elicitation::Way::Request) => {
                    if let Some(reading) = elicitation::ask(&context, &question, self.patience()).await {
                        elicitation::choose(&mut request, reading);
                        reply = self.call(request, &context).await;
                    }
                }
            }
        }
        let Some(reply) = reply else {
            let known = tools::ToolName::ALL.map(tools::ToolName::as_str).join(", ");
            return Err(ErrorData::invalid_params(
                format!("unknown tool {:?}; the tools are {known}", cut(&name, 200)),
                None,
            ));
        };
        let structured = match &self.transport {
            Transport::Stdio => None,
            Transport::Http { .. } => serde_json::from_str(&reply.json).ok(),
        };
        let image = reply.image.map(|png| ContentBlock::image(BASE64.encode(png), "image/png"));
        // The stdio transport adds the structured content only if the result has a single text block. With an image it
        // is set here.
        let structured = if image.is_some() { serde_json::from_str(&reply.json).ok() } else { structured };
        let content = std::iter::once(ContentBlock::text(reply.json)).chain(image).collect();
        let mut result = if reply.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
        result.structured_content = structured;
        Ok(result.into())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::list()).with_ttl_ms(UNCHANGED_MS))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = resources::templates(self.gateway().ok(), grant(&context).as_deref());
        Ok(ListResourceTemplatesResult::with_all_items(templates).with_ttl_ms(UNCHANGED_MS))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let told = |error: ToolError| protocol_error(&error, cut(&request.uri, 500));
        let gateway = self.gateway().map_err(told)?;
        let _place = self.place(&context).map_err(told)?;
        let read = self
            .attend("resource", &context, async |caller| {
                let tool = resources::tool_of(&request.uri).as_str();
                if let Some(error) = caller.grant.as_ref().and_then(|grant| grant.check_tool(tool).err()) {
                    gateway.refuse(caller, tool, &error).await?;
                    return Err(error);
                }
                let read = Box::pin(resources::read(gateway, caller, &request.uri)).await;
                // The result of a resource cannot carry the warning that the outcome was not recorded. If the audit
                // store is unusable, the next tool call reports it.
                let _ = caller.outcomes.written().await;
                read
            })
            .await
            .unwrap_or_else(|| Err(ToolError::internal()));
        let text = read.map_err(told)?;
        let contents = ResourceContents::text(text, request.uri).with_mime_type("application/json");
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::list()).with_ttl_ms(UNCHANGED_MS))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let prompt = prompts::get(&request.name, &request.arguments.unwrap_or_default());
        Ok(prompt.map_err(|message| ErrorData::invalid_params(message, None))?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let (mut names, mut total) = (Vec::new(), 0);
        let may_list = grant(&context).is_none_or(|grant| grant.allows_tool(ToolName::ListTables.as_str()));
        if request.argument.name == "table"
            && may_list
            && let Ok(gateway) = self.gateway()
            && let Ok(_place) = self.place(&context)
        {
            let source = request.context.and_then(|context| context.arguments?.remove("source"));
            let typed = &request.argument.value;
            let found = self.attend("completion", &context, async |caller| {
                Box::pin(resources::complete_table(gateway, caller, typed, source)).await
            });
            // A completion is only a convenience. Reading the resource reports the error.
            (names, total) = found.await.and_then(Result::ok).unwrap_or_default();
        }
        let more = total > names.len() as u64;
        let names = CompletionInfo::with_pagination(names, u32::try_from(total).ok(), more)
            .map_err(|message| ErrorData::internal_error(message, None))?;
        Ok(CompleteResult::new(names))
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(ErrorData::new(
            ErrorCode::METHOD_NOT_FOUND,
            format!("there is no method {}", cut(&request.method, 200)),
            None,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_one_call_only() {
        assert_eq!(caught("test", async { 7 }).await, Some(7));
        #[allow(clippy::panic)]
        let panicking = async { panic!("inside") };
        assert_eq!(caught::<()>("test", panicking).await, None);
    }
}

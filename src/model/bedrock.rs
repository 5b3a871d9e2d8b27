//! AWS Bedrock through the Converse API: conversion of messages, retries, classification of failures.
//!
//! Requests contain no temperature, no thinking and no forced tool choice, because several models refuse them. They
//! always contain maxTokens: without it, the model's full output limit is reserved against the quota. A response counts
//! as a turn only if it is a message with content and a known stop reason.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::converse::{ConverseError, ConverseOutput};
use aws_sdk_bedrockruntime::types::{
    AutoToolChoice, CachePointBlock, CachePointType, CacheTtl, ContentBlock, ConversationRole,
    ConverseOutput as Output, GuardrailConfiguration, InferenceConfiguration, Message as WireMessage,
    StopReason as WireStop, SystemContentBlock, Tool, ToolChoice, ToolConfiguration, ToolInputSchema, ToolResultBlock,
    ToolResultContentBlock, ToolResultStatus, ToolSpecification, ToolUseBlock,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_types::error::operation::BuildError;
use tokio::sync::OnceCell;

use super::{
    Block, Hints, Message, ModelError, ModelTool, Raw, Refusal, StopReason, Turn, TurnRequest, Usage, document,
    prompt_cache,
};
use crate::config::{Environment, ModelConfig, ModelReason};
use crate::limits::Limits;

/// Attempts of the SDK for one request. A turn may send more than one request. The question's deadline limits them too.
const MAX_ATTEMPTS: u32 = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(40);
/// Time limit for finding credentials in [`Bedrock::check`].
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(10);

/// Hints for failed turns.
pub(super) const HINTS: Hints = Hints {
    credentials: "Set AWS_REGION in the server's environment, and credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID with \
                  AWS_SECRET_ACCESS_KEY, or AWS_BEARER_TOKEN_BEDROCK. To do without Bedrock, set TUDB_MODEL=builtin. The \
                  other four tools work without a model.",
    region: "Set AWS_REGION, such as eu-central-1, or region in the [bedrock] settings; the other four tools work \
             without a model.",
    access: "Allow bedrock:InvokeModel on TUDB_BEDROCK_MODEL and, for an inference profile, on its foundation models. \
             Some models also need AWS's use case form for the account. The other four tools work without a model.",
    id: "Set TUDB_BEDROCK_MODEL to an inference profile of your region, such as global.anthropic.claude-sonnet-4-6.",
    throttled: "Try again in a minute, or ask AWS for a higher quota for TUDB_BEDROCK_MODEL.",
    unavailable: "Try again; check AWS_REGION and the network. The other four tools work without a model.",
    too_long: "Ask for less, begin a new session_id, lower limits.schema_budget_tokens, or set TUDB_BEDROCK_MODEL to a model \
               with a longer context.",
    no_tools: "Set TUDB_BEDROCK_MODEL to a model that can call tools (Converse with toolConfig).",
    refused: "Set another TUDB_BEDROCK_MODEL, or correct the [bedrock] settings that the message names.",
    reply: "Ask again in other words, or set TUDB_BEDROCK_MODEL to a stronger model.",
    blocked: "Ask in other words, or look at the guardrail in the [bedrock] settings.",
};

/// The client and the source of its credentials.
#[derive(Debug)]
struct Made {
    client: Client,
    credentials: Option<SharedCredentialsProvider>,
}

/// The Bedrock client. It is created on first use.
#[derive(Debug)]
pub struct Bedrock {
    config: ModelConfig,
    max_tokens: i32,
    region: Option<String>,
    /// Whether the SDK may look for credentials in files of the home directory and in instance metadata.
    whole_chain: bool,
    /// Whether `AWS_BEARER_TOKEN_BEDROCK` is set. It replaces credentials.
    has_token: bool,
    made: OnceCell<Made>,
    /// True after the service refused cache points for this model.
    refuses_cache: AtomicBool,
    /// Built once and then cloned. The SDK's documents are hash maps, so only clones have the same order of keys in
    /// every request.
    tools: OnceLock<ToolConfiguration>,
}

impl Bedrock {
    pub fn new(config: &ModelConfig, limits: &Limits, env: &Environment) -> Self {
        let named = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        let region =
            config.bedrock_region.clone().or_else(|| named("AWS_REGION")).or_else(|| named("AWS_DEFAULT_REGION"));
        let whole_chain = matches!(config.reason, ModelReason::Set(_))
            || config.bedrock_profile.is_some()
            || named("AWS_PROFILE").is_some();
        Bedrock {
            config: config.clone(),
            max_tokens: limits.max_output_tokens,
            region,
            whole_chain,
            has_token: named("AWS_BEARER_TOKEN_BEDROCK").is_some(),
            made: OnceCell::new(),
            refuses_cache: AtomicBool::new(false),
            tools: OnceLock::new(),
        }
    }

    pub fn model_id(&self) -> &str {
        &self.config.bedrock_model
    }

    /// Describes the model id, the region and the kind of credentials. Credentials are fetched, and never shown.
    pub(super) async fn check(&self) -> Result<String, ModelError> {
        let made = self.made().await?;
        let region = made.client.config().region().map_or("", AsRef::as_ref);
        let place = format!("Bedrock {} in {region}", self.config.bedrock_model);
        if self.has_token {
            return Ok(format!("{place}, with a bearer token"));
        }
        let none = |why: &str| ModelError::Credentials(why.to_owned());
        let provider = made.credentials.as_ref().ok_or_else(|| none("none are configured"))?;
        match tokio::time::timeout(CREDENTIALS_TIMEOUT, provider.provide_credentials()).await {
            Ok(Ok(_)) => Ok(format!("{place}, with credentials")),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no credentials");
                Err(none("no source of credentials that was tried gave any"))
            }
            Err(_) => Err(none("they did not come in time")),
        }
    }

    async fn made(&self) -> Result<&Made, ModelError> {
        self.made
            .get_or_try_init(async || {
                let http = aws_smithy_http_client::Builder::new()
                    .tls_provider(Provider::Rustls(CryptoMode::Ring))
                    .build_https();
                let timeouts = TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .build();
                let mut loader = aws_config::defaults(BehaviorVersion::latest())
                    .http_client(http)
                    .timeout_config(timeouts)
                    .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS));
                if let Some(profile) = &self.config.bedrock_profile {
                    loader = loader.profile_name(profile);
                }
                if let Some(region) = &self.region {
                    loader = loader.region(Region::new(region.clone()));
                } else if !self.whole_chain {
                    return Err(ModelError::NoRegion);
                }
                if !self.whole_chain {
                    loader = loader
                        .credentials_provider(aws_config::environment::EnvironmentVariableCredentialsProvider::new());
                }
                let shared = loader.load().await;
                if shared.region().is_none() {
                    return Err(ModelError::NoRegion);
                }
                Ok(Made { client: Client::new(&shared), credentials: shared.credentials_provider() })
            })
            .await
    }

    pub(super) async fn turn(&self, request: &TurnRequest<'_>) -> Result<Turn, ModelError> {
        let client = &self.made().await?.client;
        let mut again = true;
        // The tokens of a turn that could not be used are counted too.
        let mut wasted = Usage::default();
        loop {
            let left = request.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ModelError::Deadline);
            }
            // After a refusal of cache points, requests have none. A later refusal has another cause.
            let is_marked = !self.refuses_cache.load(Ordering::Relaxed);
            let sending = self.send(client, request)?;
            match tokio::time::timeout(left, sending).await {
                Err(_) => return Err(ModelError::Deadline),
                // The model wrote a malformed tool call. A second try mostly succeeds.
                Ok(Ok(output))
                    if again
                        && matches!(
                            output.stop_reason,
                            WireStop::MalformedToolUse | WireStop::MalformedModelOutput
                        ) =>
                {
                    again = false;
                    wasted = wasted.plus(usage(&output));
                }
                Ok(Ok(output)) => {
                    let turn = read(output)?;
                    return Ok(Turn { usage: turn.usage.plus(wasted), ..turn });
                }
                Ok(Err(error)) if is_marked && refuses_cache(&error) => {
                    self.refuses_cache.store(true, Ordering::Relaxed)
                }
                // The SDK does not retry these two errors; AWS advises to retry once.
                Ok(Err(error))
                    if again && matches!(error.code(), Some("ModelTimeoutException" | "ModelErrorException")) =>
                {
                    again = false;
                }
                Ok(Err(error)) => return Err(classify(&error)),
            }
        }
    }

    fn send(
        &self,
        client: &Client,
        request: &TurnRequest<'_>,
    ) -> Result<impl Future<Output = Result<ConverseOutput, SdkError<ConverseError>>> + use<>, ModelError> {
        let built = |error: BuildError| ModelError::Reply(format!("the request could not be built: {error}"));
        let tools = match self.tools.get() {
            Some(tools) => tools.clone(),
            None => {
                let tools = tool_configuration(request.tools).map_err(built)?;
                self.tools.get_or_init(|| tools).clone()
            }
        };
        let (system, is_marked) = self.system(request).map_err(built)?;
        let mut messages = request.messages.iter().map(wire_message).collect::<Result<Vec<_>, _>>().map_err(built)?;
        // The next turn of this question repeats the conversation so far. So the end of the conversation gets a cache
        // point too.
        if is_marked
            && request.messages.len() > 1
            && let Some(last) = messages.last_mut()
        {
            let point = CachePointBlock::builder().r#type(CachePointType::Default).build().map_err(built)?;
            let mut content = last.content.clone();
            content.push(ContentBlock::CachePoint(point));
            last.content = content;
        }
        let mut call = client
            .converse()
            .model_id(&self.config.bedrock_model)
            .set_system(Some(system))
            .set_messages(Some(messages))
            .tool_config(tools)
            .inference_config(InferenceConfiguration::builder().max_tokens(self.max_tokens).build())
            .request_metadata("app", "tudb");
        if let Some((identifier, version)) = &self.config.guardrail {
            let guardrail =
                GuardrailConfiguration::builder().guardrail_identifier(identifier).guardrail_version(version).build();
            call = call.guardrail_config(guardrail);
        }
        Ok(call.send())
    }
}

impl Bedrock {
    /// The system blocks of a request, and whether they contain a cache point. The cache point comes after the parts
    /// that are the same for every question, if these parts are long enough for the model's cache. A schema is such a
    /// part only if it is the whole schema.
    fn system(&self, request: &TurnRequest<'_>) -> Result<(Vec<SystemContentBlock>, bool), BuildError> {
        let mut system = vec![
            SystemContentBlock::Text(request.system.to_owned()),
            SystemContentBlock::Text(request.schema.to_owned()),
        ];
        let fixed = if request.whole_schema { request.schema.len() } else { 0 };
        let tools: usize =
            request.tools.iter().map(|tool| tool.description.len() + tool.input_schema.to_string().len()).sum();
        let tokens = (tools + request.system.len() + fixed) / BYTES_PER_TOKEN;
        let id = &self.config.bedrock_model;
        if self.refuses_cache.load(Ordering::Relaxed) || tokens < prompt_cache::minimum(id) {
            return Ok((system, false));
        }
        let ttl = prompt_cache::has_hour(id).then_some(CacheTtl::OneHour);
        let point = CachePointBlock::builder().r#type(CachePointType::Default).set_ttl(ttl).build()?;
        let at = if request.whole_schema { 2 } else { 1 };
        system.insert(at, SystemContentBlock::CachePoint(point));
        Ok((system, true))
    }
}

/// Assumed bytes of one token. Most tokens are shorter, so the estimated number of tokens is low. Then a prefix that is
/// slightly too short for the cache gets no cache point.
const BYTES_PER_TOKEN: usize = 4;

/// Whether the service refused the request because of its cache points.
fn refuses_cache(error: &SdkError<ConverseError>) -> bool {
    let SdkError::ServiceError(service) = error else { return false };
    let words = service.err().message().unwrap_or_default().to_lowercase();
    service.err().code() == Some("ValidationException") && (words.contains("cach") || words.contains("ttl"))
}

fn tool_configuration(tools: &[ModelTool]) -> Result<ToolConfiguration, BuildError> {
    let mut configuration =
        ToolConfiguration::builder().tool_choice(ToolChoice::Auto(AutoToolChoice::builder().build()));
    for tool in tools {
        let specification = ToolSpecification::builder()
            .name(tool.name)
            .description(tool.description)
            .input_schema(ToolInputSchema::Json(document::from_json(&tool.input_schema)))
            .build()?;
        configuration = configuration.tools(Tool::ToolSpec(specification));
    }
    configuration.build()
}

fn wire_message(message: &Message) -> Result<WireMessage, BuildError> {
    match message {
        Message::User(text) => {
            WireMessage::builder().role(ConversationRole::User).content(ContentBlock::Text(text.clone())).build()
        }
        Message::Model { raw: Some(Raw::Bedrock(raw)), .. } => Ok(raw.as_ref().clone()),
        Message::Model { blocks, .. } => {
            let mut message = WireMessage::builder().role(ConversationRole::Assistant);
            for block in blocks {
                message = message.content(match block {
                    Block::Text(text) => ContentBlock::Text(text.clone()),
                    Block::ToolUse { id, name, input } => ContentBlock::ToolUse(
                        ToolUseBlock::builder().tool_use_id(id).name(name).input(document::from_json(input)).build()?,
                    ),
                });
            }
            message.build()
        }
        Message::Results(results) => {
            let mut message = WireMessage::builder().role(ConversationRole::User);
            for result in results {
                let status = if result.is_error { ToolResultStatus::Error } else { ToolResultStatus::Success };
                message = message.content(ContentBlock::ToolResult(
                    ToolResultBlock::builder()
                        .tool_use_id(&result.id)
                        .status(status)
                        .content(ToolResultContentBlock::Text(result.text.clone()))
                        .build()?,
                ));
            }
            message.build()
        }
    }
}

fn usage(output: &ConverseOutput) -> Usage {
    let count = |tokens: i32| u64::try_from(tokens).unwrap_or(0);
    output.usage.as_ref().map_or(Usage::default(), |usage| Usage {
        input_tokens: count(usage.input_tokens),
        output_tokens: count(usage.output_tokens),
        cache_read_tokens: count(usage.cache_read_input_tokens.unwrap_or(0)),
        cache_write_tokens: count(usage.cache_write_input_tokens.unwrap_or(0)),
    })
}

fn read(output: ConverseOutput) -> Result<Turn, ModelError> {
    let usage = usage(&output);
    let stop = match &output.stop_reason {
        WireStop::EndTurn | WireStop::StopSequence => StopReason::EndTurn,
        WireStop::ToolUse => StopReason::ToolUse,
        WireStop::MaxTokens => StopReason::MaxTokens,
        WireStop::GuardrailIntervened => return Err(ModelError::Blocked("a guardrail intervened".into())),
        WireStop::ContentFiltered => return Err(ModelError::Blocked("the content was filtered".into())),
        WireStop::ModelContextWindowExceeded => {
            let words = "the conversation fills the model's context window".to_owned();
            return Err(ModelError::Refused(Refusal::TooLong, words));
        }
        other => return Err(ModelError::Reply(format!("it stopped with {other}"))),
    };
    let Some(Output::Message(mut message)) = output.output else {
        return Err(ModelError::Reply("it holds no message".into()));
    };
    // A block of a kind that the SDK does not know cannot be sent back.
    message.content.retain(|block| !block.is_unknown());
    let blocks: Vec<Block> = message
        .content()
        .iter()
        .filter_map(|block| match block {
            ContentBlock::Text(text) if !text.trim().is_empty() => Some(Block::Text(text.clone())),
            ContentBlock::ToolUse(used) => Some(Block::ToolUse {
                id: used.tool_use_id().to_owned(),
                name: used.name().to_owned(),
                input: document::to_json(used.input()),
            }),
            // Reasoning and other blocks are sent back unchanged inside `raw`.
            _ => None,
        })
        .collect();
    let is_blank = |block: &ContentBlock| block.as_text().is_ok_and(|text| text.trim().is_empty());
    // A message of blank texts only is no reply, and the service refuses blank texts that are sent back.
    if message.content().iter().all(is_blank) {
        return Err(ModelError::Reply("it is empty".into()));
    }
    Ok(Turn { blocks, stop, usage, raw: Some(Raw::Bedrock(std::sync::Arc::new(message))) })
}

/// Whether the request was not sent because no credentials were found.
fn lacks_credentials(error: &SdkError<ConverseError>) -> bool {
    std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .any(|cause| cause.is::<CredentialsError>())
}

/// Classifies a failure by its type or code, and by its text only if neither shows the cause.
fn classify(error: &SdkError<ConverseError>) -> ModelError {
    let words = match error {
        SdkError::ServiceError(service) => service.err().message().unwrap_or("no reason was given").to_owned(),
        other => aws_sdk_bedrockruntime::error::DisplayErrorContext(other).to_string(),
    };
    match error {
        SdkError::ServiceError(service) => match service.err().code() {
            Some("ThrottlingException" | "ModelNotReadyException" | "ServiceQuotaExceededException") => {
                ModelError::Throttled(words)
            }
            Some("AccessDeniedException") => ModelError::Access(words),
            Some("ResourceNotFoundException") => ModelError::Id(words),
            Some("ValidationException")
                if ["inference profile", "model identifier", "model ID"].iter().any(|part| words.contains(part)) =>
            {
                ModelError::Id(words)
            }
            Some("ValidationException") => ModelError::Refused(Refusal::of(&words), words),
            Some(
                "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "ExpiredTokenException"
                | "ExpiredToken"
                | "MissingAuthenticationTokenException"
                | "MissingAuthenticationToken",
            ) => ModelError::Credentials(words),
            _ => ModelError::Unavailable(words),
        },
        SdkError::DispatchFailure(_) if lacks_credentials(error) => {
            ModelError::Credentials("no credentials were found in the chain".into())
        }
        SdkError::DispatchFailure(_) => {
            tracing::debug!(words, "the request was not sent");
            ModelError::Unavailable("the service cannot be reached".into())
        }
        SdkError::TimeoutError(_) => ModelError::Unavailable("the service did not answer in time".into()),
        SdkError::ResponseError(_) => ModelError::Unavailable("the answer broke off".into()),
        _ => ModelError::Unavailable("the request could not be sent".into()),
    }
}

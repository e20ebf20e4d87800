//! One stream of questions about a server, and the answers to them.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::Subject;
use super::v1::server_reflection_request::MessageRequest as Question;
use super::v1::server_reflection_response::MessageResponse as Answer;
use super::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};
use crate::{Status, Streaming};

/// Answers each question as it comes.
pub(super) struct Conversation {
    questions: Streaming<ServerReflectionRequest>,
    subject: Arc<Subject>,
    /// The files that this client has.
    sent: BTreeSet<usize>,
}

impl Conversation {
    pub(super) fn new(
        subject: Arc<Subject>,
        questions: Streaming<ServerReflectionRequest>,
    ) -> Self {
        Self {
            questions,
            subject,
            sent: BTreeSet::new(),
        }
    }

    fn answer(&mut self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let answer = self.look_up(request.message_request.as_ref());
        let answer = answer.unwrap_or_else(|status| {
            Answer::ErrorResponse(ErrorResponse {
                error_code: status.code().number(),
                error_message: status.message().to_owned(),
            })
        });
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(answer),
        }
    }

    fn look_up(&mut self, question: Option<&Question>) -> Result<Answer, Status> {
        let descriptors = &self.subject.descriptors;
        let (found, asked) = match question {
            Some(Question::FileByFilename(name)) => {
                (descriptors.named(name), format!("file: {name}"))
            }
            Some(Question::FileContainingSymbol(symbol)) => {
                (descriptors.declaring(symbol), format!("symbol: {symbol}"))
            }
            Some(Question::FileContainingExtension(asked)) => {
                let (message, number) = (&asked.containing_type, asked.extension_number);
                let asked = format!("extension: {number} of {message}");
                (descriptors.extending(message, number), asked)
            }
            Some(Question::AllExtensionNumbersOfType(message)) => {
                return self.extensions(message);
            }
            Some(Question::ListServices(_)) => return Ok(self.services()),
            None => return Err(Status::invalid_argument("nothing is asked")),
        };
        match found {
            Some(file) => Ok(self.files(file)),
            None => Err(Status::not_found(format!("no such {asked}"))),
        }
    }

    /// The file and those it imports, each once in a conversation. What is asked for always comes.
    fn files(&mut self, asked: usize) -> Answer {
        let descriptors = &self.subject.descriptors;
        let mut wanted = vec![asked];
        let mut encoded = Vec::new();
        while let Some(file) = wanted.pop() {
            if self.sent.insert(file) || encoded.is_empty() {
                encoded.push(descriptors.encoded(file).to_vec());
                wanted.extend(descriptors.imports(file));
            }
        }
        Answer::FileDescriptorResponse(FileDescriptorResponse {
            file_descriptor_proto: encoded,
        })
    }

    fn extensions(&self, message: &str) -> Result<Answer, Status> {
        let numbers = self.subject.descriptors.extensions_of(message);
        let numbers =
            numbers.ok_or_else(|| Status::not_found(format!("no such message: {message}")))?;
        Ok(Answer::AllExtensionNumbersResponse(
            ExtensionNumberResponse {
                base_type_name: message.to_owned(),
                extension_number: numbers,
            },
        ))
    }

    fn services(&self) -> Answer {
        let names = self.subject.services.iter().cloned();
        Answer::ListServicesResponse(ListServiceResponse {
            service: names.map(|name| ServiceResponse { name }).collect(),
        })
    }
}

impl Stream for Conversation {
    type Item = Result<ServerReflectionResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let question = ready!(Pin::new(&mut self.questions).poll_next(cx));
        Poll::Ready(question.map(|question| question.map(|question| self.answer(question))))
    }
}

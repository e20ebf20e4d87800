//! Sees to it that everything generated has documentation: what has no comment gets a plain one.
//!
//! A `.proto` file's comments lie beside its descriptor, keyed by paths such as `[4, 0, 2, 1]`: the field
//! number of `message_type`, an index into it, the field number of `field`, and so on.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, SourceCodeInfo,
};

/// Field numbers in `google/protobuf/descriptor.proto`.
mod number {
    pub(super) const FILE_MESSAGE: i32 = 4;
    pub(super) const FILE_ENUM: i32 = 5;
    pub(super) const MESSAGE_FIELD: i32 = 2;
    pub(super) const MESSAGE_NESTED: i32 = 3;
    pub(super) const MESSAGE_ENUM: i32 = 4;
    pub(super) const MESSAGE_ONEOF: i32 = 8;
    pub(super) const ENUM_VALUE: i32 = 2;
}

/// Adds a comment to every message, field, oneof, enum and enum value that has none.
pub(crate) fn complete(file: &mut FileDescriptorProto) {
    let mut plain = PlainComments::default();
    let package = match file.package() {
        "" => String::new(),
        package => format!("{package}."),
    };
    for (message, path) in file
        .message_type
        .iter()
        .zip(paths(&[], number::FILE_MESSAGE))
    {
        plain.message(message, &package, &path);
    }
    for (enumeration, path) in file.enum_type.iter().zip(paths(&[], number::FILE_ENUM)) {
        plain.enumeration(enumeration, &package, &path);
    }
    if let Some(found) = &mut file.source_code_info {
        plain.fill_in(found);
    }
}

/// A plain comment for each path.
#[derive(Default)]
struct PlainComments(Vec<(Vec<i32>, String)>);

impl PlainComments {
    fn message(&mut self, message: &DescriptorProto, scope: &str, path: &[i32]) {
        let name = format!("{scope}{}", message.name());
        self.add(path, format!("The message `{name}`."));
        for (field, path) in message.field.iter().zip(paths(path, number::MESSAGE_FIELD)) {
            self.add(&path, field_comment(field));
        }
        for (oneof, path) in message
            .oneof_decl
            .iter()
            .zip(paths(path, number::MESSAGE_ONEOF))
        {
            self.add(
                &path,
                format!("At most one of the fields of `{}`.", oneof.name()),
            );
        }
        let scope = format!("{name}.");
        for (nested, path) in message
            .nested_type
            .iter()
            .zip(paths(path, number::MESSAGE_NESTED))
        {
            self.message(nested, &scope, &path);
        }
        for (nested, path) in message
            .enum_type
            .iter()
            .zip(paths(path, number::MESSAGE_ENUM))
        {
            self.enumeration(nested, &scope, &path);
        }
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptorProto, scope: &str, path: &[i32]) {
        self.add(path, format!("The enum `{scope}{}`.", enumeration.name()));
        for (value, path) in enumeration
            .value
            .iter()
            .zip(paths(path, number::ENUM_VALUE))
        {
            self.add(
                &path,
                format!("`{}`, which is {}.", value.name(), value.number()),
            );
        }
    }

    fn add(&mut self, path: &[i32], comment: String) {
        self.0.push((path.to_owned(), comment));
    }

    fn fill_in(self, found: &mut SourceCodeInfo) {
        for (path, comment) in self.0 {
            let location = found
                .location
                .iter_mut()
                .find(|location| location.path == path);
            if let Some(location) = location
                && location.leading_comments.is_none()
                && location.trailing_comments.is_none()
            {
                location.leading_comments = Some(format!(" {comment}\n"));
            }
        }
    }
}

fn field_comment(field: &FieldDescriptorProto) -> String {
    format!("The field `{}`, number {}.", field.name(), field.number())
}

/// The paths of the elements of a repeated field: `parent`, the field's number, an index.
fn paths(parent: &[i32], number: i32) -> impl Iterator<Item = Vec<i32>> {
    let prefix = [parent, &[number]].concat();
    (0..).map(move |index| [prefix.as_slice(), &[index]].concat())
}

#[cfg(test)]
mod tests {
    use prost_types::source_code_info::Location;

    use super::*;

    fn location(path: &[i32], comment: Option<&str>) -> Location {
        Location {
            path: path.to_owned(),
            leading_comments: comment.map(ToOwned::to_owned),
            ..Location::default()
        }
    }

    #[test]
    fn what_has_a_comment_keeps_it_and_the_rest_gets_one() {
        let field = FieldDescriptorProto {
            name: Some("clear".to_owned()),
            number: Some(7),
            ..FieldDescriptorProto::default()
        };
        let message = DescriptorProto {
            name: Some("Aspect".to_owned()),
            field: vec![field],
            ..DescriptorProto::default()
        };
        let mut file = FileDescriptorProto {
            package: Some("trains".to_owned()),
            message_type: vec![message.clone(), message],
            source_code_info: Some(SourceCodeInfo {
                location: vec![
                    location(&[4, 0], Some(" What a signal shows.\n")),
                    location(&[4, 0, 2, 0], None),
                    location(&[4, 1], None),
                ],
            }),
            ..FileDescriptorProto::default()
        };
        complete(&mut file);
        let comments: Vec<_> = file
            .source_code_info
            .iter()
            .flat_map(|info| &info.location)
            .map(|location| location.leading_comments())
            .collect();
        assert_eq!(
            comments,
            [
                " What a signal shows.\n",
                " The field `clear`, number 7.\n",
                " The message `trains.Aspect`.\n",
            ]
        );
    }
}

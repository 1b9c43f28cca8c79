"""Tagging questions: prompts, answers, retrieval, mixing and scores. It knows nothing of HTTP."""

from lawtags_client.tagging.parse import ParsedTags, answer_regex, parse_tags
from lawtags_client.tagging.prompt import Prompt, PromptBuilder, PromptStyle, estimate_tokens
from lawtags_client.tagging.question import Question, read_questions
from lawtags_client.tagging.vocabulary import Vocabulary, normalize_tag

__all__ = [
    "ParsedTags",
    "Prompt",
    "PromptBuilder",
    "PromptStyle",
    "Question",
    "Vocabulary",
    "answer_regex",
    "estimate_tokens",
    "normalize_tag",
    "parse_tags",
    "read_questions",
]

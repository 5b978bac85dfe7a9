"""The commands. Each reads a `requests.NAME.Request`, whose fields are its options; only then it imports what
answers it: `questions.NAME.run` gives an Answer, which `shown` prints and `studies.answer` stores.
"""

"""A web page to play with the zoo, by Gradio (extra `demo`)."""

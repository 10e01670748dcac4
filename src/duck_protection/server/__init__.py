"""The HTTP server: a vision-language model behind the API that llama.cpp's clients speak."""

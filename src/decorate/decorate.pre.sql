-- decorate: the schema of the bodies of decorated functions. Nobody needs to use it: bodies are called by their functions only.

CREATE SCHEMA apibase_decorated;

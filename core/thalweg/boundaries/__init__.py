"""Where thalweg meets what it does not control: files, servers, documents, and what their errors mean."""

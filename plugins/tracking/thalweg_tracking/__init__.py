"""Every run in MLflow."""

"""What puts the service and the models under load, and times them: `lfi benchmark`. The service imports none of it."""

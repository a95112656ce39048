"""What happens on the way of a task or an answer: hiding secrets, passing variables of the host."""

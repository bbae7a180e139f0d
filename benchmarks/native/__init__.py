"""Native files of agent data in any amount, and what reading them takes."""

from google.adk.agents import LlmAgent

root_agent = LlmAgent(name="chat", model="gemini-2.5-flash", instruction="Answer in one sentence.")

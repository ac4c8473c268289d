-- A chat request of about 300 bytes for wrk.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-0123456789abcdef0123456789abcdef"
wrk.body = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"'
  .. string.rep("What is the capital of France? ", 7) .. '"}],"temperature":0}'

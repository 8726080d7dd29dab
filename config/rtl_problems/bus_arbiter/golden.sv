module bus_arbiter (
  input  logic       clk,
  input  logic       rst_n,
  input  logic [3:0] request,
  output logic [3:0] grant,
  output logic       busy
);
  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) grant <= 4'd0;
    else if ((grant & request) == 4'd0) grant <= request & (~request + 4'd1);
  end

  assign busy = grant != 4'd0;
endmodule

module two_lowest (
  input  logic [15:0] request,
  output logic [15:0] grant_first,
  output logic [15:0] grant_second,
  output logic [3:0]  index_first,
  output logic [3:0]  index_second,
  output logic [1:0]  granted
);
  logic [15:0] rest;

  assign grant_first  = request & (~request + 16'd1);
  assign rest         = request & ~grant_first;
  assign grant_second = rest & (~rest + 16'd1);
  assign granted      = {1'b0, |grant_first} + {1'b0, |grant_second};

  always_comb begin
    index_first = 4'd0;
    index_second = 4'd0;
    for (int i = 0; i < 16; i++) begin
      if (grant_first[i]) index_first = i[3:0];
      if (grant_second[i]) index_second = i[3:0];
    end
  end
endmodule
